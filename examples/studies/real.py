"""A real checkpoint of 135 M parameters, and a proxy carved out of it: what a small aligned model brings it on SVAMP.

    python examples/studies/real.py --checkpoint FOLDER --data svamp.json [--output real] [--quick]

FOLDER holds a Hugging Face Llama such as SmolLM2-135M-Instruct, and the file the thousand problems of SVAMP (MIT). Made here,
and kept in the output: q (a few of p's layers, trained on p's own replies), q* (q, then the format) and p* (p, then the
format). The rest, from the same folder, can be stopped and started again. Two to three hours on one core.
"""

import argparse
import copy
import functools
import hashlib
import json
import math
import operator
import random
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

import kad
from kad.checkpoints import Checkpoints
from kad.demo import problems
from kad.evaluation import Block, Job, Method, Number, Plan, Store, Task, figures, read, run, summaries
from kad.evaluation.questions import load_rows
from kad.evaluation.task import Item, messages, render
from kad.evaluation.tasks import SVAMP
from kad.loading import model_at, tokenizer_at
from kad.statistics import difference, holm, paired_p

NAMES = ("p", "q*", "p*", "dual", "nudging", "implicit-reward", "primal", "confidence-bet")
MAIN = tuple(map(Method, NAMES, (None, None, None, 0.4, 0.4, 1.0, 0.9, 0.1)))
P, PROXY, _, DUAL, NUDGING, _, PRIMAL, _ = MAIN
WORTH = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": lambda a, b: a / b if b else None}
SUM = re.compile(r"\s*(\d+) ([-+*/]) (\d+) = (-?\d+(?:\.\d+)?)")


class Short(Task):
    """SVAMP with a reply of two lines; its parts are told apart by a hash of the story without its numbers."""

    name = "svamp-short"
    instruction = "Solve the problem. First write the calculation, then the answer."  # no letter in it to copy
    new_tokens = 96
    answer = Number()

    def item(self, row, index: int) -> Item:
        """SVAMP's question; as a solution the equation without needless brackets and zeros."""
        item = SVAMP().item(row, index)
        gold = f"{row['Answer']:g}"
        sides = re.sub(r"\( | \)", lambda m: m[0].strip(), row["Equation"].replace(".0", ""))
        return replace(item, gold=gold, solution=f"{sides.removeprefix('(').removesuffix(')')} = {gold}\n#### {gold}")

    def part_of(self, item: Item):
        """Six in ten to train on ("all" here means neither other part), the rest for development and the test."""
        story = re.sub(r"[\d.]+", "#", item.question.rpartition(". ")[0])
        place = int.from_bytes(hashlib.sha256(story.encode()).digest()[:4], "big") / 2**32
        return "all" if place < 0.6 else "dev" if place < 0.66 else "test"


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def carved(model, layers: int):
    """A model of so many of the layers, evenly spaced from the first to the last, with the same embeddings, norm and head."""
    kept = [round(i * (len(model.model.layers) - 1) / max(1, layers - 1)) for i in range(layers)]
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = layers
    small = type(model)(config)
    names, own = {f"model.layers.{i}.": f"model.layers.{old}." for i, old in enumerate(kept)}, model.state_dict()
    source = {name: re.sub(r"model\.layers\.\d+\.", lambda m: names[m[0]], name) for name in small.state_dict()}
    small.load_state_dict({name: own[there] for name, there in source.items()})
    small.generation_config = copy.deepcopy(model.generation_config)
    return small.eval()


def batches(examples, size: int, epochs: int, pad: int):
    """Ids, and labels that are -100 outside the replies: shuffled, padded on the right, of rows of like lengths."""
    chance = random.Random(0)
    for _ in range(epochs):
        rows = sorted(examples, key=lambda e: len(e[0]) + len(e[1]) + 20 * chance.random())
        groups = [rows[i : i + size] for i in range(0, len(rows), size)]
        chance.shuffle(groups)
        for group in groups:
            width = max(len(head) + len(tail) for head, tail in group)
            ids = [[*head, *tail, *[pad] * (width - len(head) - len(tail))] for head, tail in group]
            labels = [[-100] * len(h) + t + [-100] * (width - len(h) - len(t)) for h, t in group]
            yield torch.tensor(ids), torch.tensor(labels)


def fit(model, examples, epochs: int, rate: float, pad: int) -> float:
    """AdamW on the replies' tokens with a warm cosine; embeddings and head stay. The mean loss of the last epoch."""
    model.train().requires_grad_(True)
    model.get_input_embeddings().requires_grad_(False)
    model.get_output_embeddings().requires_grad_(False)
    losses, steps = list[float](), epochs * math.ceil(len(examples) / 8)
    weights = [w for w in model.parameters() if w.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda i: min(1, 20 * (i + 1) / steps) * (0.1 + 0.45 * (1 + math.cos(math.pi * i / steps)))
    )
    for ids, labels in batches(examples, 8, epochs, pad):
        wanted = labels[:, 1:] != -100
        hidden = model.model(input_ids=ids).last_hidden_state[:, :-1][wanted]  # the head where it counts alone
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden), labels[:, 1:][wanted])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    model.eval().requires_grad_(False)
    return sum(losses[-(steps // epochs) :]) / (steps // epochs)


def own_replies(model, tokenizer, heads, folder: Path, length: int):
    """What p itself says, sampled at temperature .7 and kept in the folder."""
    path, tails = folder / "replies.json", list[list[int]]()
    if not path.exists():
        for i in range(0, len(heads), 50):
            out = kad.generate(
                model, model, heads[i : i + 50], target=kad.Base(), tokenizer=tokenizer, window=0, seed=i,
                do_sample=True, temperature=0.7, max_new_tokens=length,
            )  # fmt: skip
            tails += [out.trace.ids[row, :n].tolist() for row, n in enumerate(out.trace.lengths.tolist())]
        path.write_text(json.dumps(tails))
    return list(zip(heads, json.loads(path.read_text()), strict=True))


def trained(folder: Path, pad: int, name: str, make, examples, epochs: int, rate: float):
    """The model from the folder, or made, fitted and put there."""
    if (folder / name / "config.json").exists():
        return model_at(folder / name, torch.float32)
    model = make()
    say(f"{name}: loss {fit(model, examples, epochs, rate, pad):.3f} in its last epoch over {len(examples)} replies")
    model.save_pretrained(folder / name)
    return model


def family(base, tokenizer, folder: Path, options) -> dict:
    """p, q, q* and p* by role."""
    task = Short()
    items = [item for item in task.items(load_rows(task)) if task.part_of(item) == "all"][: 8 if options.quick else 600]
    heads = [tokenizer(render(tokenizer, messages(task, i)), add_special_tokens=False)["input_ids"] for i in items]
    tails = [tokenizer(i.solution, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for i in items]
    form = list(zip(heads, tails, strict=True))
    talk = own_replies(base, tokenizer, heads, folder, task.new_tokens)
    say(f"p's own replies to {len(talk)} problems")
    make = functools.partial(trained, folder, tokenizer.pad_token_id)
    q = make("q", lambda: carved(base, options.layers), talk, max(1, options.epochs // 2), 1e-3)
    star = make("q-star", lambda: copy.deepcopy(q), form, options.epochs, 5e-4)
    aligned = make("p-star", lambda: copy.deepcopy(base), form[: len(form) // 2], 1, 1e-4)
    return {"base": base, "proxy": star, "reference": q, "aligned": aligned}


def jobs(models: dict, tokenizer, n: int, windows: tuple[int, ...]):
    """What is run: the methods, the controls on half of the problems, the windows on a sixth."""
    twice = dict.fromkeys(("base", "proxy"), models["base"])
    windowed = (Block((DUAL,), windows=windows), Block((PRIMAL, NUDGING), windows=(3,)))
    cut = (Block((P, PROXY), filters=((("min_p", 0.4),),)), Block((PROXY,), temperatures=(None,)))
    rest = ((models, windowed, n // 6), (models, cut, n // 2), (twice, (Block((DUAL,)),), n // 2))
    for chosen, blocks, count in ((models, (Block(MAIN),), n), *rest):
        plan = Plan(("__main__.Short",), blocks, max(2, count), (0,), part="test")
        yield Job(plan, Checkpoints(chosen, tokenizer), batch=50)


def label(c) -> str:
    """How tables call a configuration."""
    models = dict(c.models)
    rest = ["q*=p" if c.method == DUAL.name and models["base"] == models["proxy"] else "", c.filtered]
    rest += ["" if c.temperature else "greedy", f"γ = {c.window}" if c.window else ""]
    return ", ".join([c.of.label, *filter(None, rest)])


def figures_of(summary, rows, order: list[str]) -> dict:
    """A configuration's numbers, with the outcomes as a string of 0 and 1; sums are replies' first a ∘ b = c."""
    own = (row for row in rows if row["key"] == summary.configuration.key)
    rows = sorted(own, key=lambda row: order.index(row["item"]))
    sums = [m for row in rows if (m := SUM.match(row["text"]))]
    right = sum(WORTH[m[2]](int(m[1]), int(m[3])) == float(m[4]) for m in sums)
    return {
        "accuracy": summary.accuracy.share, "low": summary.accuracy.low, "high": summary.accuracy.high, "n": len(rows),
        "in_format": sum(bool(re.search(r"\n#### -?[\d.]+$", row["text"])) for row in rows) / len(rows),
        "ended": summary.ended, "tokens": summary.tokens, "deferred": summary.deferred, "acceptance": summary.acceptance,
        "tokens_per_pass": summary.tokens_per_pass, "sums": len(sums), "sums_right": right,
        "correct": "".join("01"[bool(row["correct"])] for row in rows),
    }  # fmt: skip


def compared(names: list[str]) -> list[tuple[str, str]]:
    """Every method against p and q*, and dual against the controls; of these, what there is."""
    main = [m.label for m in MAIN]
    pairs = [(m, o) for o in main[:2] for m in main[1:] if m != o] + [(DUAL.label, n) for n in names if n not in main]
    return [(a, b) for a, b in pairs if a in names and b in names]


def paired(table: dict, pairs) -> list[dict]:
    """Differences in points on the same problems, with McNemar's exact p and Holm's over all of them."""
    found = []
    for a, b in pairs:
        n = min(table[a]["n"], table[b]["n"])  # some have the first problems alone
        ours, theirs = ([[x == "1"] for x in table[name]["correct"][:n]] for name in (a, b))
        found.append((a, b, n, *difference(ours, theirs), paired_p(ours, theirs)))
    adjusted = holm([row[-1] for row in found])
    keys = ("ours", "theirs", "n", "difference", "error", "p", "holm")
    return [dict(zip(keys, (*row, p), strict=True)) for row, p in zip(found, adjusted, strict=True)]


def show(table: dict, tests: list[dict]) -> str:
    """Everything as tables of Markdown."""
    heads = "problems|right, %|in format, %|ended, %|tokens|deferred, %|sums right|accepted, %|tokens a round"
    lines = [f"| | {heads.replace('|', ' | ')} |", f"|---{9 * '|--:'}|"]
    for name, f in table.items():
        accuracy = f"{100 * f['accuracy']:.1f} [{100 * f['low']:.0f}-{100 * f['high']:.0f}]"
        deferred, accepted = ("" if x is None else f"{100 * x:.0f}" for x in (f["deferred"], f["acceptance"]))
        lines.append(
            f"| {name} | {f['n']} | {accuracy} | {100 * f['in_format']:.0f} | {100 * f['ended']:.0f} | {f['tokens']:.0f} | "
            f"{deferred} | {f['sums_right']} of {f['sums']} | {accepted} | {f['tokens_per_pass']:.2f} |"
        )
    lines += ["", "| | | problems | points | p | p, Holm |", "|---|---|--:|--:|--:|--:|"]
    for t in tests:
        points = f"{100 * t['difference']:+.1f} ± {100 * t['error']:.1f}"
        lines.append(f"| {t['ours']} | {t['theirs']} | {t['n']} | {points} | {t['p']:.2g} | {t['holm']:.2g} |")
    return "\n".join(lines).replace("*", "\\*")


def made_up(folder: Path) -> Path:
    """A file in SVAMP's form, for a quick run."""
    own, path = {"Body": "In a shop", "Equation": "( 6.0 - 2.0 )", "Answer": 4.0}, folder / "svamp.json"
    path.write_text(json.dumps([own | {"ID": p.text, "Question": p.text} for p in problems.held_out(30)]))
    return path


def answer(options, folder: Path) -> None:
    """Train, and run what the folder lacks."""
    pair = kad.demo.load() if options.quick else None
    tokenizer = pair.tokenizer if pair else tokenizer_at(options.checkpoint)
    base = pair.base.float() if pair else model_at(options.checkpoint, torch.float32)
    models = family(base, tokenizer, folder, options)
    with Store(folder / "answers") as store:
        for job in jobs(models, tokenizer, options.n, (3,) if options.quick else (1, 3, 5)):
            run(job, store, lambda unit, rows: say(label(unit.configuration)))


def report(folder: Path) -> None:
    """Write real.json and real.png from the answers that there are."""
    order = [item.id for item in Short().items(load_rows(Short()))]
    configurations, rows, _ = read(folder / "answers")
    found = {label(s.configuration): s for s in summaries(configurations, rows)}
    table = {name: figures_of(s, rows, order) for name, s in found.items()}
    tests = paired(table, compared([name for name in table if "γ" not in name]))
    (folder / "real.json").write_text(json.dumps({"table": table, "tests": tests}, indent=1, ensure_ascii=False) + "\n")
    print(show(table, tests))
    drawn = [s for name, s in found.items() if not re.search("γ|q\\*=", name)]
    axes = figures.accuracies(drawn, Short.name)
    axes.set_xlim(0, 105 * max(s.accuracy.high for s in drawn))
    axes.figure.savefig(folder / "real.png", dpi=160)
    print(f"written: {folder}/real.json, real.png")


def study(options, folder: Path) -> None:
    """Answers, unless they are there, and the report."""
    folder.mkdir(parents=True, exist_ok=True)
    Short.files = (str((made_up(folder) if options.quick else options.data).resolve()),)
    if not options.report:
        answer(options, folder)
    report(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="a folder with a Hugging Face Llama")
    parser.add_argument("--data", type=Path, help="svamp.json")
    parser.add_argument("--output", type=Path, default=Path("real"))
    parser.add_argument("--n", type=int, default=300, help="test problems")
    parser.add_argument("--layers", type=int, default=6, help="of the carved proxy")
    parser.add_argument("--epochs", type=int, default=4, help="of q*; q has half of them, p* one, on half")
    parser.add_argument("--report", action="store_true", help="run nothing: tables of the answers there are")
    parser.add_argument("--quick", action="store_true", help="the embedded base instead of a checkpoint: that it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        options.n, options.layers, options.epochs = 4, 2, 1
        with tempfile.TemporaryDirectory() as folder:
            study(options, Path(folder))
    elif options.data is None or (options.checkpoint is None and not options.report):
        parser.error("give --checkpoint and --data, --report and --data, or --quick.")
    else:
        study(options, options.output)


if __name__ == "__main__":
    main()
