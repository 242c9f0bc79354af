"""The recipe of the embedded pair: four tiny Llamas trained from scratch on a CPU.

| name | what | size | data |
|---|---|---|---|
| ``base`` (p) | the large base model | 128 x 4 layers | 3,000 steps of raw pages |
| ``proxy-base`` (q) | the small base model | 64 x 2 layers | 1,400 steps of raw pages |
| ``proxy`` (q*) | the small aligned model | q, then two epochs of 5,000 aligned examples | |
| ``base-aligned`` (p*) | what aligning the large model itself would give | p, then one epoch of them | |

The run is gated by a probe: after a correct prefix the base must get at least 95% of the step results right.
Arithmetic appears late and suddenly in training; a base that stopped before that point knows no more than the
proxy, and then there is nothing to steer.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ..vocabulary import id_bound
from .pages import pages
from .problems import aligned_answer, draw_from, held_out, prompt

BLOCK, BATCH, ALIGNED_EXAMPLES, PROBE_FLOOR = 128, 16, 5000, 0.95
SHAPES = {"base": (128, 4, 4), "proxy-base": (64, 2, 2)}  # hidden size, layers, heads
UPDATES = {"base": 3000, "proxy-base": 1400}
RATES = {"base": 3e-3, "proxy-base": 4e-3}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }} {% else %}"
    "{% if m.role == 'user' %}q : {% endif %}{{ m.content }}{% if m.role == 'user' %} a :{% endif %}{% endif %}{% endfor %}"
)

Labelled = tuple[torch.Tensor, torch.Tensor]  # the ids of a batch, and their labels
Progress = Callable[[str, int, int], None]


def build_tokenizer(texts: Iterable[str]) -> Any:
    """A word-level tokenizer over the words of the corpus and the integers 0..99."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({word for text in texts for word in text.split() if not word.isdigit()} | {"####"})
    vocabulary = ["<pad>", "<bos>", "<eos>", "<unk>", *map(str, range(100)), *words]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=256,
        clean_up_tokenization_spaces=False,
    )


def new_model(kind: str, tokenizer: Any, seed: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, layers, heads = SHAPES[kind]
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=id_bound(tokenizer),
            hidden_size=hidden,
            intermediate_size=4 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        )
    )


def fit(
    model: Any, batches: Iterable[Labelled], steps: int, rate: float, warmup: int, report: Callable[[int, int], None]
) -> float:
    """AdamW with a cosine from ``rate`` to a tenth of it; returns the mean loss of the last 50 steps."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda i: min(1.0, (i + 1) / warmup) * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, i / steps)))),
    )
    losses: list[float] = []
    for i, (inputs, labels) in enumerate(islice(batches, steps)):
        logits = model(inputs).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        report(i + 1, steps)
    model.eval()
    return sum(losses[-50:]) / len(losses[-50:])


def packed(tokenizer: Any, texts: Iterable[str]) -> Iterator[Labelled]:
    """Endless batches of packed pages."""
    buffer: list[int] = []
    for text in texts:
        buffer += [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        if len(buffer) >= BLOCK * BATCH:
            block = torch.tensor(buffer[: BLOCK * BATCH]).view(BATCH, BLOCK)
            buffer = buffer[BLOCK * BATCH :]
            yield block, block


def aligned_batches(tokenizer: Any, seed: int, epochs: int) -> Iterator[Labelled]:
    """Shuffled batches of aligned examples; labels are -100 outside the response."""
    rng = random.Random(seed)
    examples = []
    for _ in range(ALIGNED_EXAMPLES):
        problem = draw_from(rng, "train")
        head = tokenizer(prompt(problem))["input_ids"]
        tail = [*tokenizer(aligned_answer(problem), add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        examples.append((head + tail, [-100] * len(head) + tail))
    for _ in range(epochs):
        rng.shuffle(examples)
        for start in range(0, len(examples) - BATCH + 1, BATCH):
            rows = examples[start : start + BATCH]
            width = max(len(ids) for ids, _ in rows)
            yield (
                torch.tensor([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in rows]),
                torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows]),
            )


@torch.inference_mode()
def probe(model: Any, tokenizer: Any, n: int = 200) -> float:
    """Share of step results that the model ranks first after a correct prefix, on development problems."""
    right = total = 0
    for problem in held_out(n, "dev", seed=7):
        text = f"{prompt(problem)} {aligned_answer(problem)}"
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        best = model(ids).logits[0].argmax(-1)
        equals = tokenizer.convert_tokens_to_ids("=")
        for position in (ids[0] == equals).nonzero().flatten().tolist():
            right += int(best[position] == ids[0, position + 1])
            total += 1
    return right / total


def train(folder: Path, seed: int = 1, report: Progress = lambda stage, done, total: None) -> dict[str, float]:
    """Train the four models into ``folder``.

    Returns:
        Final losses of the base models and the probe of all four.

    Raises:
        RuntimeError: the base fails the probe; nothing is written then.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # models this small gain little from more, and one thread makes the result repeatable
    try:
        return train_on_one_thread(folder, seed, report)
    finally:
        torch.set_num_threads(threads)


def train_on_one_thread(folder: Path, seed: int, report: Progress) -> dict[str, float]:
    """See `train`."""
    tokenizer = build_tokenizer(islice(pages(seed=10_000), 20_000))
    tokenizer.chat_template = CHAT_TEMPLATE
    models: dict[str, Any] = {}
    figures: dict[str, float] = {}
    for kind in ("base", "proxy-base"):
        models[kind] = new_model(kind, tokenizer, seed)
        figures[f"loss of {kind}"] = fit(
            models[kind], packed(tokenizer, pages(seed=seed)), UPDATES[kind], RATES[kind], 100, partial(report, kind)
        )
    figures["probe of base"] = probe(models["base"], tokenizer)
    if figures["probe of base"] < PROBE_FLOOR:
        raise RuntimeError(
            f"the base gets only {figures['probe of base']:.1%} of the step results right (the gate is {PROBE_FLOOR:.0%}): "
            "it knows no more than the proxy, so there is nothing to steer; try another --seed."
        )
    for kind, parent, epochs, rate in (("proxy", "proxy-base", 2, 2e-3), ("base-aligned", "base", 1, 5e-4)):
        models[kind] = copy.deepcopy(models[parent])
        steps = epochs * (ALIGNED_EXAMPLES // BATCH)
        fit(models[kind], aligned_batches(tokenizer, seed, epochs), steps, rate, 20, partial(report, kind))
    for kind, model in models.items():
        figures[f"probe of {kind}"] = probe(model, tokenizer)
        model.half().save_pretrained(folder / kind)
        tokenizer.save_pretrained(folder / kind)
    return figures
