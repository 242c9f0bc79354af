"""What holds where nobody says otherwise, at every door: Python, the shell, Hugging Face's own ``generate``, evaluation.

One rule for a setting that is not given: the aligned checkpoint's own generation config, if it says something; else what stands here.
Evaluation asks every checkpoint alike, so there what stands here comes first; the paper's protocol has numbers of its own.
"""

from typing import Literal

TEMPERATURE = 1.0  # of who samples and names none: Hugging Face's; without a word from anybody decoding is greedy
EVALUATED_AT = 0.7  # the temperature of evaluation, tuning, gaps and the demo
NEW_TOKENS = 256  # at most
WINDOW = 3  # γ, speculative drafts a round
THRESHOLD, BUDGET = 0.4, 0.9  # λ of a dual, b of a primal

# What options may be and say; here, so that the command line has it without loading what reads it.
Placement = Literal["models", "draws", "mixture"]
Family = Literal["zipf", "gaussian", "peaked", "uniform"]
PAPER_SENTENCE = (
    "Asked by the paper's protocol: the aligned model's chat template for every model, no thinking, one system prompt for all "
    "tasks, left out where the template takes none, zero-shot, at most 1,024 new tokens, options in the data's order, the box "
    "for MATH requested in the user's turn."
)
