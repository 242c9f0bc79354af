"""A new target: the geometric mean of both models. A decoder needs to know nothing more than π.

It is not a mixture, so the proxy is read at every position; speculation works all the same.
"""

from dataclasses import dataclass

from kad import Target, demo, generate
from kad.testing import check_target


@dataclass(frozen=True)
class GeometricMean(Target):
    weight: float = 0.5

    def __call__(self, p, q, r=None):
        score = (1 - self.weight) * p.log() + self.weight * q.log()
        empty = (score == float("-inf")).all(-1, keepdim=True)  # p and q share no token
        return score.masked_fill(empty, 0.0).softmax(-1)


if __name__ == "__main__":
    check_target(GeometricMean())
    pair = demo.load()
    prompt = "q : mia has 6 pens . she buys 8 more . she loses 3 . how many pens does mia have now ? a :"
    for window in (0, 3):
        out = generate(pair.base, pair.proxy, prompt, target=GeometricMean(), tokenizer=pair.tokenizer, window=window)
        text = pair.tokenizer.decode(out.trace.ids[0], skip_special_tokens=True)
        print(f"{text} [{out.trace.base_passes} base passes]")
