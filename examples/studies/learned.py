"""Rules learned by likelihood, against a constant price tuned by accuracy: what each finds on the development problems, and what that is worth.

    python examples/studies/learned.py [--output learned] [--n 400] [--seeds 4] [--quick]

The embedded pair. Rules are learned and tuned on n development problems; then every rule answers the same n test problems, with
the same seeds, at temperature .7 and γ = 3.
"""

import argparse
import json
import math
import runpy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import kad
from kad.demo.problems import held_out
from kad.demo.problems import prompt as asked
from kad.plots import pyplot
from kad.statistics import difference, holm, paired_p, rate

EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "learn_a_price.py"))
WIDTHS = {0.5: "#9ecae1", 0.2: "#4292c6", 0.05: "#08519c"}


@dataclass(frozen=True, eq=False)
class PerToken(kad.Solver):
    """The soft rule with a price for every token, ``(V,)``."""

    prices: Any
    width: Any
    fractional = True

    def defer(self, loss, mass):
        return torch.sigmoid((loss - self.prices.to(loss.dtype)) / self.width).to(mass.dtype)


@dataclass(frozen=True, eq=False)
class Surer(kad.Loss):
    """The logistic loss, less where the proxy is not sure of its mode: (−log p_v + c log max q*)₊."""

    weight: Any
    reads_proxy = True

    def __call__(self, p, q=None):
        return (-p.log() + self.weight * q.amax(-1, keepdim=True).log()).clamp_min(0)


def likelihood(target, given):
    """The mean of log π over the tokens of the aligned answers."""
    p, q, token = given
    return target(p, q).gather(-1, token).log().mean()


def fit(make, start, given, steps, penalty=0.0):
    """The parameters of the largest likelihood, of a target that ``make`` makes of them; further ones than two are kept small."""
    parameters = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in start]
    optimiser = torch.optim.Adam(parameters, lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        cost = -likelihood(make(*parameters), given) + penalty * sum(x.square().sum() for x in parameters[2:])
        cost.backward()
        optimiser.step()
    return [x.detach() if x.ndim else x.item() for x in parameters]


def soft(price, log_width):
    return kad.Mixture(kad.Logistic(), kad.Soft(price, math.exp(log_width)))


def soft_at(price, log_width):
    """While it is learned: with the graph."""
    return kad.Mixture(kad.Logistic(), kad.Soft(price, log_width.exp()))


def biased(price, log_width, bias):
    width = log_width.exp() if torch.is_tensor(log_width) else math.exp(log_width)
    return kad.Mixture(kad.Logistic(), PerToken(price + bias, width))


def surer(price, log_width, weight):
    width = log_width.exp() if torch.is_tensor(log_width) else math.exp(log_width)
    return kad.Mixture(Surer(weight), kad.Soft(price, width))


def learned(given, steps):
    """The learned rules by name, each with the words that say what was found."""
    price, log_width = fit(soft_at, [0.0, 0.0], given, steps)
    yield "soft", f"μ = {price:.3f}, τ = {math.exp(log_width):.3f}", soft(price, log_width)
    yield "hard at its μ", f"λ = {math.exp(-price):.3f}", kad.dual(math.exp(-price))
    wide = fit(lambda mu: kad.Mixture(kad.Logistic(), kad.Soft(mu, 0.5)), [0.0], given, steps)
    yield "soft, τ = .5", f"μ = {wide[0]:.3f}", kad.Mixture(kad.Logistic(), kad.Soft(wide[0], 0.5))
    found = fit(surer, [1.0, -1.5, 0.0], given, steps)
    yield "soft, reads q*", f"μ = {found[0]:.3f}, c = {found[2]:.2f}, τ = {math.exp(found[1]):.3f}", surer(*found)
    found = fit(biased, [1.0, -1.5, [0.0] * given[0].shape[-1]], given, steps, penalty=1e-3)
    yield "soft, μ per token", f"{found[0]:.3f}, largest bias {found[2].abs().max():.2f}", biased(*found)


def graded(pair, problems, target, seeds):
    """Whether the answers to every problem are right, ``(n, seeds)``, and the mean deferred mass of a token."""
    prompts, right, alphas = [asked(x) for x in problems], [[] for _ in problems], []
    for seed in range(seeds):
        trace = kad.generate(
            pair.base, pair.proxy, prompts, target=target, tokenizer=pair.tokenizer, window=3, do_sample=True, temperature=0.7,
            max_new_tokens=80, seed=[10_000 * seed + i for i in range(len(prompts))],
        ).trace  # fmt: skip
        texts = pair.tokenizer.batch_decode(trace.emitted, skip_special_tokens=True)
        for own, text, problem in zip(right, texts, problems, strict=True):
            own.append(text.split("####")[-1].split()[:1] == [str(problem.answer)])
        alphas.append(trace.deferral_rate)
    return right, sum(alphas) / seeds


def of_parts(given, size, steps):
    """λ = e^{−μ} as learned from disjoint parts of so many tokens each."""
    parts = [[x[at : at + size] for x in given] for at in range(0, len(given[0]) - size + 1, size)]
    return [math.exp(-fit(soft_at, [0.0, 0.0], part, steps)[0]) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("learned"))
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="few problems and steps: that it runs")
    options = parser.parse_args()
    n, seeds, steps = (4, 1, 3) if options.quick else (options.n, options.seeds, 150)
    folder = Path(tempfile.mkdtemp()) if options.quick else options.output
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    pair = kad.demo.load()
    parts = {part: held_out(n, part) for part in ("dev", "test")}
    given = {part: EXAMPLE["teacher_forced"](pair, problems) for part, problems in parts.items()}
    levels = (0.2, 0.4) if options.quick else [round(0.05 * i, 2) for i in range(1, 20)]
    tried = {level: graded(pair, parts["dev"], kad.dual(level), 1)[0] for level in levels}
    best = max(tried, key=lambda level: sum(map(sum, tried[level])))
    print("right on dev, by λ:", {level: sum(map(sum, right)) for level, right in tried.items()}, flush=True)
    sizes = [x for x in (50, 250, 1000, 4000) if x <= len(given["dev"][0])][: 1 if options.quick else None]
    learned_from = {size: of_parts(given["dev"], size, steps) for size in sizes}
    for size, found in learned_from.items():
        print(f"λ learned from {size} tokens, {len(found)} parts: {min(found):.3f} to {max(found):.3f}", flush=True)
    rules = [("tuned constant", f"λ = {best:g}", kad.dual(best)), *learned(given["dev"], steps)]
    rows = compared(pair, parts["test"], given, rules, seeds)
    curves = curves_of(given["dev"], levels)
    told = {"tried": tried, "learned from": learned_from, "rules": rows, "curves": curves}
    (folder / "learned.json").write_text(json.dumps(told, indent=1))
    draw(curves, tried, best, math.exp(-rules[1][2].solver.multiplier), folder / "learned.png")
    print(f"written: {folder}/learned.json, {folder}/learned.png")


def compared(pair, problems, given, rules, seeds):
    """Every rule on the test problems, beside the first, which is the tuned constant."""
    rows = []
    for name, found, target in rules:
        right, alpha = graded(pair, problems, target, seeds)
        nats = {part: float(likelihood(target, of)) for part, of in given.items()}
        rows.append({"rule": name, "found": found, "right": right, "alpha": alpha, **nats})
    p_values = holm([paired_p(row["right"], rows[0]["right"]) for row in rows[1:]])
    for row, p_value in zip(rows, [1.0, *p_values], strict=True):
        more, error = difference(row["right"], rows[0]["right"])
        row |= {"more": more, "error": error, "p": p_value}
        print(
            f"{row['rule']:20}{row['found']:38}{rate(row['right'])!s:>15}{100 * more:+7.2f} ± {100 * error:.2f}, p = {p_value:.2f}"
            f"  α {row['alpha']:.3f}, nats dev {row['dev']:.5f} test {row['test']:.5f}"
        )
    return rows


def curves_of(given, levels):
    """The likelihood of the hard dual and of soft ones, by λ."""
    hard = {level: float(likelihood(kad.dual(level), given)) for level in levels}
    return {"hard": hard} | {
        width: {x: float(likelihood(kad.Mixture(kad.Logistic(), kad.Soft(-math.log(x), width)), given)) for x in levels}
        for width in WIDTHS
    }


def draw(curves, tried, best, price, path):
    """The likelihood, and the accuracy on the development problems, against λ."""
    panels = pyplot().subplots(1, 2, figsize=(10, 3.8), layout="constrained")[1]
    for width, colour in WIDTHS.items():
        panels[0].plot(*zip(*curves[width].items(), strict=True), color=colour, label=f"soft, τ = {width:g}")
    panels[0].plot(*zip(*curves["hard"].items(), strict=True), "o", ms=4, color="#d95f02", label="hard")
    panels[0].set_ylim(-0.06, 0)
    panels[0].set_ylabel("mean log π of aligned tokens, nats")
    shares = [rate(right) for right in tried.values()]
    panels[1].vlines(
        list(tried), [100 * x.low for x in shares], [100 * x.high for x in shares], color="#d95f02", alpha=0.3
    )
    panels[1].plot(list(tried), [100 * x.share for x in shares], "o", ms=4, color="#d95f02")
    panels[1].axvline(best, color="#d95f02", lw=1, label="tuned by accuracy")
    panels[1].axvline(price, color="#08519c", lw=1, label="learned by likelihood")
    panels[1].set_ylabel("right on development problems, %")
    for panel in panels:
        panel.set_xlabel("λ = exp(−μ)")
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=8)
    panels[0].figure.savefig(path, dpi=160)


if __name__ == "__main__":
    main()
