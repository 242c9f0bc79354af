"""What can be named on the shell, as words alone: help, typos and completion are answered from here, without torch.

`tests/cli/test_shell.py` keeps them the same as what they are the names of. A new command is a line here and a class of its name in
`kad.cli.options` or `kad.cli.watching`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

COMMANDS = {
    "demo": "Show on the embedded pair that the method works: a table, a picture and coloured examples.",
    "generate": "Generate text from a large base model aligned by a small aligned one.",
    "chat": "Talk with a pair in the terminal; every answer is coloured by where its tokens came from.",
    "play": "Watch methods side by side on a local web page: every token with its origin, its rivals and what the optimum would defer.",
    "serve": "Serve a pair by vLLM's OpenAI server: completions, chat, streams, log-probabilities of what is sampled.",
    "solve": "Compare every solver with the exact optimum, on one distribution or on many steps.",
    "gaps": "How far rules are from the exact optimum over the steps of texts: at the mass that each defers, and at its budget.",
    "bench": "Measure kad's speed beside its peers, in alternating rounds on the same models, prompts and verdicts.",
    "eval": "Score methods on tasks, with intervals and a report; a run that was stopped goes on where it was.",
    "sweep": "Run a plan from a YAML file: tasks, and blocks of methods, windows, placements, temperatures and filters.",
    "tune": "Choose a method's parameter on development questions, then the window for speed; test questions are not asked.",
    "report": "Grade the texts of a folder of results again, and compute every number and figure from them.",
}
HARNESS = {"lm-eval": "Run lm-evaluation-harness, whose options these are, with the model kad."}
LOSS_NAMES = (
    "Logistic", "Squared", "Brier", "Perceptron", "ZeroOne", "ConfidenceBet", "Nudging", "Diff", "Opt", "TokenV2", "TokenV3",
)  # fmt: skip
SOLVER_NAMES = ("Dual", "Primal", "Fractional", "Exact", "OrTools", "Brute", "Soft")
TARGET_NAMES = ("Mixture", "Base", "Proxy", "Ensemble", "ImplicitReward", "Paced")
METHOD_NAMES = (
    "p", "q*", "p*", "nudging", "implicit-reward", "dual", "primal", "fractional", "paced", "confidence-bet", "cascade-chow", "cascade-diff",
    "cascade-opt", "cascade-token-v1", "cascade-token-v2", "cascade-token-v3", "ensemble",
)  # fmt: skip
TASKS_SHIPPED = ("gsm8k", "svamp", "math500", "arc", "csqa", "truthfulqa", "mmlu", "embedded")
PRESETS_SHIPPED = ("olmo2", "qwen3")


def nearest(word: str, names: Iterable[str]) -> str:
    """The beginning of a hint: the name that was probably meant, or nothing.

    >>> nearest("generat", COMMANDS), nearest("primal", SOLVER_NAMES), nearest("xyz", SOLVER_NAMES)
    ('; did you mean generate?', '; did you mean Primal?', '')
    """
    plain = {name.lstrip("-").casefold(): name for name in names}
    found = difflib.get_close_matches(word.lstrip("-").casefold(), plain, 1)
    return f"; did you mean {plain[found[0]]}?" if found else ""
