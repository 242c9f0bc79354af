"""What holds where nobody says otherwise, at every door: Python, the shell, evaluation.

One rule for a setting that is not given: the aligned checkpoint's own generation config, if it says something; else what stands here.
Evaluation asks every checkpoint alike, so there what stands here comes first. Only the protocol of the paper has numbers of its own.
"""

TEMPERATURE = 0.7  # of sampling; without a word from anybody decoding is greedy
NEW_TOKENS = 256  # at most
WINDOW = 3  # γ, speculative drafts a round
THRESHOLD, BUDGET = 0.4, 0.9  # λ of a dual, b of a primal
