"""The pairs, tasks and grids of the paper's experiments (arXiv 2510.27017), by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .methods import Method
from .plan import Block, Plan
from .protocol import PAPER_TEMPERATURE, PAPER_TOKENS, TASKS

BETS = tuple(Method("confidence-bet", x) for x in (0.0, 0.1, 0.2))  # of the follow-up
GRID = (
    Method("p"), Method("q*"), Method("p*"), *(Method("nudging", x) for x in (0.3, 0.4, 0.5)), Method("implicit-reward", 1.0),
    *(Method("dual", x) for x in (0.2, 0.3, 0.4, 0.5)), *(Method("primal", x) for x in (0.6, 0.7, 0.8, 0.9)), *BETS,
)  # fmt: skip
PAPER_GRID = (
    Method("p"), Method("q*"), Method("p*"), Method("nudging", 0.4), Method("implicit-reward", 1.0), Method("dual", 0.3), Method("dual", 0.4),
    Method("primal", 0.6), Method("primal", 0.9), *BETS,
)  # fmt: skip
WINDOWS = (3, 5, 7)
SPEED = (Method("dual", 0.3), Method("dual", 0.4), Method("primal", 0.9))


@dataclass(frozen=True)
class Preset:
    """Models by role, and what is run with them.

    Attributes:
        places: hub ids by role.
        shapes: name of the shapes in ``kad bench`` that these checkpoints have, for estimates without them.
        template: variables for the chat template: the paper's models answer without thinking first.
    """

    places: dict[str, str]
    shapes: str
    template: tuple[tuple[str, Any], ...] = ()

    def plan(self, **changes: Any) -> Plan:
        """Quality at γ = 0 over the grid, which is the paper's under its protocol, then speed at γ 3, 5 and 7."""
        grid, heat = PAPER_GRID if changes.get("protocol") == "paper" else GRID, (PAPER_TEMPERATURE,)
        blocks = (Block(grid, temperatures=heat), Block(SPEED, windows=WINDOWS, temperatures=heat))
        own: dict[str, Any] = {"tasks": TASKS, "blocks": blocks, "new_tokens": PAPER_TOKENS, "template": self.template}
        return Plan(**(own | changes))


PRESETS = {
    "olmo2": Preset(
        {
            "base": "allenai/OLMo-2-1124-13B", "proxy": "allenai/OLMo-2-0425-1B-Instruct",
            "reference": "allenai/OLMo-2-0425-1B", "aligned": "allenai/OLMo-2-1124-13B-Instruct",
        }, "olmo2",
    ),
    "qwen3": Preset(
        {
            "base": "Qwen/Qwen3-14B-Base", "proxy": "Qwen/Qwen3-1.7B", "reference": "Qwen/Qwen3-1.7B-Base",
            "aligned": "Qwen/Qwen3-14B",
        }, "qwen3", (("enable_thinking", False),),
    ),
}  # fmt: skip


def preset_of(name: str) -> Preset:
    """A preset by its name.

    Raises:
        ValueError: there is none.

    >>> preset_of("qwen3").places["proxy"]
    'Qwen/Qwen3-1.7B'
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; choose from {', '.join(PRESETS)}.")
    return PRESETS[name]
