"""Learn a price: gradient ascent on the likelihood of aligned answers, to the embedded pair's development problems.

The rule is the dual with a soft border (`kad.Soft`), which has a gradient in its price μ and its width τ. What was learned
is then a target like any other.
"""

import torch

import kad
from kad.demo.problems import aligned_answer, held_out, prompt

TEMPERATURE = 0.7  # of what is sampled in the end


@torch.no_grad()
def teacher_forced(pair, problems):
    """p and q* before every token of the aligned answers, ``(N, V)``, and these tokens, ``(N, 1)``."""
    found = []
    for problem in problems:
        head = pair.tokenizer(prompt(problem))["input_ids"]
        tail = pair.tokenizer(aligned_answer(problem), add_special_tokens=False)["input_ids"]
        ids = torch.tensor([head + tail + [pair.tokenizer.eos_token_id]])
        logits = [model(ids).logits[0, len(head) - 1 : -1] for model in (pair.base, pair.proxy)]
        found.append([*(kad.softmax(x.double(), TEMPERATURE) for x in logits), ids[0, len(head) :, None]])
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


def learn(p, q, token, steps=200):
    """The price and the width of the largest mean log π(token), and that mean."""
    price = torch.tensor(0.0, dtype=p.dtype, requires_grad=True)
    log_width = torch.tensor(0.0, dtype=p.dtype, requires_grad=True)  # so that the width stays positive
    optimiser = torch.optim.Adam([price, log_width], lr=0.1)
    for _ in range(steps):
        target = kad.Mixture(kad.Logistic(), kad.Soft(price, log_width.exp()))
        likelihood = target(p, q).gather(-1, token).log().mean()
        optimiser.zero_grad()
        (-likelihood).backward()
        optimiser.step()
    return price.item(), log_width.exp().item(), likelihood.item()


if __name__ == "__main__":
    pair = kad.demo.load()
    given = teacher_forced(pair, held_out(100, "dev"))
    price, width, likelihood = learn(*given)
    print(f"price {price:.2f}, width {width:.2f}: {likelihood:.4f} nats a token")
    question = "q : mia has 6 pens . she buys 8 more . she loses 3 . how many pens does mia have now ? a :"
    out = pair.generate(question, kad.Mixture(kad.Logistic(), kad.Soft(price, width)), max_new_tokens=40)
    print(pair.tokenizer.decode(out.trace.ids[0], skip_special_tokens=True))
