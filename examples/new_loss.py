"""A new loss in ten lines: the Tsallis loss, between the logistic (a → 1) and the linear (a = 2).

On the shell, with this file in the current folder: kad generate "..." --loss new_loss.Tsallis --loss.a 1.5
"""

from dataclasses import dataclass

from kad import Dual, Loss, Mixture, demo, generate
from kad.testing import check_loss


@dataclass(frozen=True)
class Tsallis(Loss):
    a: float = 1.5
    decreasing = True
    strict = True

    def __call__(self, p, q=None):
        return (1 - p ** (self.a - 1)) / (self.a - 1)


if __name__ == "__main__":
    check_loss(Tsallis())
    pair = demo.load()
    target = Mixture(Tsallis(), Dual(multiplier=0.7))
    prompt = "q : mia has 6 pens . she buys 8 more . she loses 3 . how many pens does mia have now ? a :"
    out = generate(pair.base, pair.proxy, prompt, target=target, tokenizer=pair.tokenizer, max_new_tokens=40)
    print(pair.tokenizer.decode(out.trace.ids[0], skip_special_tokens=True))
