"""Options that several commands share, a frozen dataclass for each group of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..defaults import BUDGET, NEW_TOKENS, TEMPERATURE, THRESHOLD, Placement
from .names import METHOD_NAMES

if TYPE_CHECKING:  # at runtime `kad.cli.commands` says what these are, which need torch
    from ..losses import Loss
    from ..mixture import Target
    from ..solvers import Solver

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Window = int | Literal["auto"]
VARIABLE = "A variable for the chat template, such as enable_thinking=false."
OWN = "by name or import path"
METHOD_TEXTS = (
    f"{', '.join(METHOD_NAMES)}, with a value or several as in dual:0.3,0.4; any loss with any solver, as in "
    '"Squared*primal:0.5,0.9" or "mine.MyLoss*dual,exact:0.5"; or a target\'s import path, as in mine.MyTarget:0.5,1'
)


def option(about: str, default: Any = None) -> Any:
    """A field with its help; False is a switch that is off, a tuple an option that may be given several times."""
    return field(default=default, metadata={"help": about})


def argument(about: str, **how: Any) -> Any:
    """A field that is given by its place."""
    return field(**how, metadata={"help": about, "positional": True})


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where models run, and with what numbers."""

    dtype: Dtype = option("Of the models' weights: auto, float32, bfloat16 or float16.", "auto")
    device: str | None = option("Such as cpu or cuda; by default a GPU where there is one.")


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """p and q*."""

    base: str | None = option("The large base model p: a folder or a hub id.")
    proxy: str | None = option("The small aligned model q*: a folder or a hub id. Its chat template is used for both.")

    @property
    def places(self) -> dict[str, str | None]:
        """Where the models are, by role."""
        return {role: getattr(self, role) for role in ("base", "proxy", "reference", "aligned") if hasattr(self, role)}


@dataclass(frozen=True, kw_only=True)
class TwoModels(Placed, Pairing):
    """The same, where kad itself runs them."""


@dataclass(frozen=True, kw_only=True)
class FourModels(TwoModels):
    """And those that other methods need."""

    reference: str | None = option("The small base model q, for implicit reward.")
    aligned: str | None = option("The large aligned model, for p*.")
    data: Path | None = option("A folder with the tasks' files; by default they come from the hub.")


@dataclass(frozen=True, kw_only=True)
class Fast:
    """What is worth its while for long texts."""

    compile: bool = option("Compile both models' passes; pays for long texts on a GPU.", False)
    pack: bool = option("Lay the models' weights out anew for a CPU; pays for windows and batches there.", False)


@dataclass(frozen=True, kw_only=True)
class Prompted:
    """A prompt, from wherever it is."""

    prompt: str | None = argument("The prompt; standard input if there is no other source.", default=None)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What is sampled: a loss and a solver, or a target given whole."""

    loss: Loss | None = option(f"The loss, {OWN}; by default the logistic one.")
    solver: Solver | None = option(f"The solver, {OWN}; by default a dual at {THRESHOLD}, else a primal at {BUDGET}.")
    placement: Placement = option("Where the temperature enters.", "models")
    target: Target | None = option(f"Instead of a loss and a solver: a target, {OWN}.")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """How a text is drawn; what is not said comes from the aligned model's own settings."""

    max_new_tokens: int | None = option(f"Tokens at most; by default the aligned model's, else {NEW_TOKENS}.")
    greedy: bool = option("Take the most probable token; so by default if the aligned model's settings do.", False)
    sample: bool = option("Sample; so do --temperature, --top-p, --top-k and --min-p.", False)
    temperature: float | None = option(f"Sampling temperature; by default the aligned model's, else {TEMPERATURE}.")
    top_p: float | None = option("Nucleus filter on both models' distributions, before the rule.")
    top_k: int | None = option("Top-k filter on both models' distributions, before the rule.")
    min_p: float | None = option("Min-p filter on both models' distributions, before the rule.")
    repetition_penalty: float | None = option("As in Hugging Face's generate, on both models.")
    stop: tuple[str, ...] = option("A string that ends the text.", ())
    seed: int | None = option("Seed of the sampling.")
