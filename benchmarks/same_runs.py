"""Whether two commits decode alike: texts, origins, verdicts, counts, α and log π of some 900 runs, for the same seeds.

    python benchmarks/same_runs.py --write before.pt      # in the one checkout
    python benchmarks/same_runs.py --against before.pt    # in the other, on the same machine

Ten targets × windows 0, 1, 3, 7 × greedy, sampled, scored × one row and six ragged ones × three placements, on random models
of two families; then seeds of rows, processors that read the text, a window that is chosen, recurrent models, and a
loss, a solver and targets that are not kad's. Numbers may differ by 1e-9 of float64 models; everything else not at all.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, MambaConfig, RepetitionPenaltyLogitsProcessor

import kad

SHAPE = {
    "vocab_size": 48, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": False,
}  # fmt: skip
WINDOWS, NEW = (0, 1, 3, 7), 10
MODES: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "sampled": {"do_sample": True, "temperature": 0.7},
    "scored": {"do_sample": True, "temperature": 0.7, "output_scores": True},
    "scored greedy": {"do_sample": False, "output_scores": True},
}


def model(config: Any, seed: int) -> Any:
    """Random weights that make distributions neither flat nor one-hot, in float64."""
    torch.manual_seed(seed)
    made = AutoModelForCausalLM.from_config(config).double().eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=1.0 if "embed" in name else 0.4)
    made.generation_config.eos_token_id, made.generation_config.pad_token_id = 2, 0
    return made


def ragged(rows: int) -> tuple[Tensor, Tensor]:
    generator, longest = torch.Generator().manual_seed(rows), 9
    ids = torch.randint(3, 48, (rows, longest), generator=generator)
    lengths = torch.randint(2, longest + 1, (rows,), generator=generator)
    mask = (torch.arange(longest) >= (longest - lengths).unsqueeze(-1)).long()
    return ids * mask, mask


@dataclasses.dataclass(frozen=True)
class Plain(kad.Target):
    """Somebody's mean of square roots: no mixture, and its defer is not written."""

    def __call__(self, p: Tensor, q: Tensor, r: Tensor | None = None) -> Tensor:
        both = p.sqrt() + q.sqrt()
        return both / both.sum(-1, keepdim=True)


@dataclasses.dataclass(frozen=True)
class Silent(Plain):
    """The same with a defer that says that it is none, without q*."""

    reads_proxy = False

    def defer(self, p: Tensor, q: Tensor | None = None) -> Tensor | None:
        return None


@dataclasses.dataclass(frozen=True)
class Cube(kad.Loss):
    strict = True

    def __call__(self, p: Tensor, q: Tensor | None = None) -> Tensor:
        return (1 - p) ** 3


@dataclasses.dataclass(frozen=True)
class Half(kad.Solver):
    feasible = exact = fills = fractional = False

    def defer(self, loss: Tensor, mass: Tensor) -> Tensor:
        return (loss > 0.5).to(mass.dtype)


def targets(reference: Any) -> dict[str, Any]:
    return {
        "base": kad.Base(), "proxy": kad.Proxy(), "dual": kad.dual(0.3), "primal": kad.primal(0.7),
        "fractional": kad.fractional(0.4), "nudging": kad.nudging(0.3), "bet": kad.confidence_bet(0.1),
        "implicit": kad.implicit_reward(reference),
        "cascade": kad.Mixture(kad.cascades.Opt(), kad.Dual(multiplier=0.1)), "ensemble": kad.Ensemble(0.4),
    }  # fmt: skip


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """A name and what `kad.generate` is given."""
    llama = LlamaConfig(**SHAPE)
    base, proxy, reference = (model(llama, seed) for seed in range(3))
    batches = {"one": ragged(1), "six": ragged(6)}
    pair = {"base": base, "proxy": proxy, "max_new_tokens": NEW}
    grid = itertools.product(targets(reference).items(), ("models", "draws", "mixture"), WINDOWS, MODES, batches)
    for (name, target), placement, window, mode, batch in grid:
        if not isinstance(target, kad.Base | kad.Proxy):  # of which every placement is the same
            target = dataclasses.replace(target, placement=placement)
        ids, mask = batches[batch]
        given = pair | MODES[mode] | {"target": target, "window": window, "input_ids": ids, "attention_mask": mask}
        yield f"{name} {placement} {window} {mode} {batch}", given
    ids, mask = batches["six"]
    more: dict[str, dict[str, Any]] = {
        "rows": {"seed": list(range(6))},
        "penalty": {"logits_processor": [RepetitionPenaltyLogitsProcessor(1.3)]},
        "top-p": {"top_p": 0.8},
        "long": {"max_new_tokens": 60},
    }
    own = {
        "plain": Plain(), "silent": Silent(), "cube": kad.Mixture(Cube(), kad.Dual(threshold=0.3)),
        "half": kad.Mixture(kad.Squared(), kad.Fractional(0.5)), "solver": kad.Mixture(kad.Logistic(), Half()),
    }  # fmt: skip
    few = {name: t for name, t in targets(reference).items() if name in ("dual", "bet", "implicit", "ensemble")} | own
    for name, target in few.items():
        for window, mode, (extra, options) in itertools.product(
            (*WINDOWS, kad.AutoWindow(cost=0.3)), MODES, more.items()
        ):
            shown = window if isinstance(window, int) else "auto"
            given = pair | MODES[mode] | {"target": target, "window": window, "input_ids": ids, "attention_mask": mask}
            if MODES[mode]["do_sample"] or extra in ("penalty", "long"):
                yield f"{name} {shown} {mode} {extra}", given | options
    mamba = MambaConfig(
        vocab_size=48, hidden_size=16, num_hidden_layers=2, state_size=4, bos_token_id=1, eos_token_id=2, pad_token_id=0
    )
    recurrent = {"base": model(mamba, 3), "proxy": model(mamba, 4), "max_new_tokens": NEW, "window": 0}
    for mode in MODES:
        given = recurrent | MODES[mode] | {"target": kad.dual(0.3), "input_ids": ids, "attention_mask": mask}
        yield f"recurrent {mode}", given


def record(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What must be equal, and the numbers."""
    options = dict(given)
    if options["do_sample"] and "seed" not in options:
        options["generator"] = torch.Generator().manual_seed(11)
    out = kad.generate(**options)
    t = out.trace
    exact = {
        "ids": t.ids.tolist(), "origins": t.origins.tolist(), "accepts": t.accepts.tolist(), "lengths": t.lengths.tolist(),
        "drafted": [r.drafted.tolist() for r in t.rounds], "accepted": [r.accepted.tolist() for r in t.rounds],
        "passes": [t.base_passes, t.proxy_passes, t.reference_passes],
        "fed": [t.base_fed.tolist(), t.proxy_fed.tolist()], "sequences": out.sequences.tolist(),
    }  # fmt: skip
    numbers = {"alphas": t.alphas.double()}
    numbers |= {f"ratio {i}": r.probability.double() for i, r in enumerate(t.rounds)}
    if out.scores is not None:
        inside = torch.arange(len(out.scores)) < t.lengths.unsqueeze(-1)  # what follows an end is nobody's
        numbers["log π"] = torch.stack(out.scores, 1)[inside].double()
    return exact, numbers


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference; infinite if shapes, infinities or NaNs differ."""
    if a.shape != b.shape or not torch.equal(a.isfinite(), b.isfinite()):
        return torch.inf
    difference = (a - b)[a.isfinite()].abs()
    return float(difference.max()) if difference.numel() else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="where to put what this checkout does")
    parser.add_argument("--against", type=Path, help="what another did")
    options = parser.parse_args()
    if (options.write is None) == (options.against is None):
        parser.error("give either --write or --against.")
    torch.set_num_threads(1)
    found = {name: record(given) for name, given in cases()}
    if options.write is not None:
        torch.save(found, options.write)
        print(f"{len(found)} runs written: {options.write}")
        return
    before, worst, differing = torch.load(options.against), 0.0, 0
    if found.keys() != before.keys():
        raise SystemExit("the two checkouts do not run the same cases.")
    for name, (exact, numbers) in found.items():
        old, old_numbers = before[name]
        wrong = [key for key in exact if exact[key] != old[key]]
        gap = max((apart(numbers[key], old_numbers[key]) for key in numbers.keys() & old_numbers.keys()), default=0.0)
        worst = max(worst, gap)
        if wrong or gap > 1e-9 or numbers.keys() != old_numbers.keys():
            differing += 1
            print(f"{name}: {', '.join(wrong) or 'numbers'} differ, numbers by up to {gap:.1e}")
    print(f"{len(found)} runs, {differing} differ; numbers apart by at most {worst:.1e}")
    raise SystemExit(differing > 0)


if __name__ == "__main__":
    main()
