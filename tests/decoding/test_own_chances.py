"""A source of chance of somebody else's: greedy by what it says, used or refused but never dropped, and looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import TemperatureLogitsWarper

import kad
from kad.arithmetic import CPU
from kad.chances import Agreed, Looked, PerRow
from kad.decoding.generator import source
from kad.testing import check_chance

from ..models import ragged, tiny
from .enumeration import decoder, tables
from .reference import by_full_passes, continuation
from .test_law import compare

WINDOWS = (0, 1, 3, 7)
NEW = 8


class Logged(kad.Chance):
    """Passes every question on and notes it."""

    def __init__(self, inner: kad.Chance) -> None:
        self.held, self.told = inner, []

    def about(self, rows: Tensor, place: Tensor, where: Tensor, what: str, step: int = 0) -> None:
        self.told.append((what, step, where.tolist()))
        self.held.about(rows, place, where, what, step)

    def pick(self, weights: Tensor) -> Tensor:
        return self.held.pick(weights)

    def coin(self, probability: Tensor) -> Tensor:
        return self.held.coin(probability)

    def leading(self, probability: Tensor) -> Tensor:
        return self.held.leading(probability)


@dataclass(slots=True)
class Slotted(kad.Chance):
    """The same without a dict of its own."""

    __hash__ = None
    kept: kad.Chance

    def pick(self, weights: Tensor) -> Tensor:
        return self.kept.pick(weights)

    def coin(self, probability: Tensor) -> Tensor:
        return self.kept.coin(probability)

    def leading(self, probability: Tensor) -> Tensor:
        return self.kept.leading(probability)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return tiny("llama", 1), tiny("llama", 2)


def by_both_doors(pair: tuple[Any, Any], chance: Any, window: int, rows: int, sample: bool, **more: Any) -> list:
    """The continuations of kad.generate and of Hugging Face's generate with kad.decoder; ``chance`` makes one for each."""
    ids, mask = ragged(rows, seed=3)
    base, proxy = pair
    target, options = kad.dual(0.3), {"max_new_tokens": NEW, "do_sample": sample, **more}
    one = kad.generate(
        base, proxy, input_ids=ids, attention_mask=mask, target=target, window=window, generator=chance(), **options
    )
    other = base.generate(
        ids, attention_mask=mask, custom_generate=kad.decoder(proxy, target, window=window, generator=chance()),
        return_dict_in_generate=True, **options,
    )  # fmt: skip
    assert continuation(one) == continuation(other)
    return continuation(one)


def test_who_is_greedy() -> None:
    class Draws(Logged):
        greedy = False

    class Mode(kad.Sampled):
        greedy = True

    greedy, drawn = kad.Greedy(), kad.Sampled()
    for chance in (
        greedy,
        Logged(greedy),
        Logged(Logged(greedy)),
        Slotted(greedy),
        Agreed(greedy),
        Agreed(Logged(greedy)),
        Mode(),
    ):
        assert chance.greedy is True
    for chance in (
        drawn,
        Logged(drawn),
        Slotted(drawn),
        Agreed(drawn),
        PerRow([1]),
        Agreed(PerRow([1])),
        Draws(greedy),
    ):
        assert chance.greedy is False
    two = Logged(greedy)
    two.other = drawn
    two.me = two
    assert two.greedy is False


@pytest.mark.parametrize("window", WINDOWS)
def test_a_wrapped_source_decodes_as_what_it_wraps(pair: tuple[Any, Any], window: int) -> None:
    for rows, wrap in ((1, Logged), (4, Slotted), (4, lambda inner: Logged(Logged(inner)))):
        plain, drawn = (by_both_doors(pair, make, window, rows, bool(make())) for make in (lambda: None, generator))
        assert by_both_doors(pair, lambda wrap=wrap: wrap(kad.Greedy()), window, rows, False) == plain
        assert by_both_doors(pair, lambda wrap=wrap: wrap(kad.Sampled(generator())), window, rows, True) == drawn
    seeded = [
        by_both_doors(pair, make, window, 4, True)
        for make in (lambda: PerRow(range(4)), lambda: Logged(PerRow(range(4))))
    ]
    assert seeded[0] == seeded[1]


def sampled_mode(base: Any, proxy: Any, temperature: float, ids: Tensor, mask: Tensor) -> list[list[int]]:
    """argmax of π from p_T and q*_T, one row at a time, from full passes."""
    heat = [TemperatureLogitsWarper(temperature)]
    prompts = (prompt[m.bool()].tolist() for prompt, m in zip(ids, mask, strict=True))
    return [by_full_passes(base, proxy, kad.dual(0.3), prompt, NEW, processors=heat)[0] for prompt in prompts]


def test_a_greedy_source_while_sampling_takes_the_mode_of_what_would_be_sampled(pair: tuple[Any, Any]) -> None:
    for rows in (1, 4):
        want = sampled_mode(*pair, 1.8, *ragged(rows, seed=3))
        assert want != by_both_doors(pair, lambda: None, 0, rows, False)
        for window in WINDOWS:
            for make in (kad.Greedy, lambda: Logged(kad.Greedy())):
                assert by_both_doors(pair, make, window, rows, True, temperature=1.8, top_k=0) == want


def test_what_draws_is_refused_where_nothing_is_drawn(pair: tuple[Any, Any]) -> None:
    for window in WINDOWS:
        for make in (kad.Sampled, lambda: Logged(kad.Sampled(generator())), lambda: Slotted(PerRow(range(4)))):
            for rows in (1, 4):
                with pytest.raises(
                    ValueError, match=r"do_sample=False decodes greedily, and \w+ draws; add do_sample=True"
                ) as caught:
                    by_both_doors(pair, make, window, rows, False)
                assert "\n" not in str(caught.value)
    plain = by_both_doors(pair, lambda: None, 3, 4, False)  # generators and seeds are not drawn from, as ever
    assert by_both_doors(pair, generator, 3, 4, False) == plain
    assert by_both_doors(pair, lambda: PerRow(range(4)), 3, 4, False) == plain


def test_what_is_no_source(pair: tuple[Any, Any]) -> None:
    for given, words in [
        (kad.Greedy, r"generator must be a Chance, got the class Greedy; make an instance: Greedy\(\)"),
        (Logged, r"make an instance: Logged\(...\)"),
        (7, "generator must be a torch.Generator or a kad.Chance, got int"),
        (np.random.default_rng(0), "generator must be a torch.Generator or a kad.Chance, got Generator"),
    ]:
        for sample in (True, False):
            with pytest.raises(ValueError, match=words):
                kad.generate(*pair, [[3, 4]], target=kad.dual(0.4), generator=given, do_sample=sample)
    with pytest.raises(ValueError, match="a Sampled's generator must be a Generator, got 7"):
        kad.Sampled(7)


@pytest.mark.parametrize("window", [0, 1, 3])
def test_a_look_does_not_change_the_law(window: int) -> None:
    compare(kad.dual(0.4), window, vocabulary=2, length=3, temperature=0.7, stop=None)
    models, prompt = tables(7 + window, 2), torch.tensor([1, 0])

    def run(wrap: Any) -> list:
        chance = kad.Sampled(generator())
        loop = decoder(kad.dual(0.4), models, prompt, 5, window, Counted(5))
        loop.chance = wrap(chance)
        return loop.run().ids.tolist()

    assert run(Looked) == run(lambda chance: chance)


class Counted(kad.Sampled):
    """As many rows as it says."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def __len__(self) -> int:
        return self.rows


def wrong(**methods: Any) -> kad.Chance:
    class Mine(kad.Sampled):
        def __init__(self) -> None:
            super().__init__(generator())

    for name, method in methods.items():
        setattr(Mine, name, method)
    return Mine()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "beyond": ({"pick": lambda s, w: w.argmax(-1) + w.shape[-1]}, r"Mine.pick must return ids in \[0, 32\)"),
    "before": ({"pick": lambda s, w: w.argmax(-1) - 40}, r"Mine.pick must return ids in \[0, 32\)"),
    "floats": ({"pick": lambda s, w: w.argmax(-1).float()}, "pick must return torch.int64"),
    "column": ({"pick": lambda s, w: w.argmax(-1, keepdim=True)}, "pick must return torch.int64"),
    "list": ({"pick": lambda s, w: w.argmax(-1).tolist()}, "pick must return torch.int64 .*got list"),
    "nothing": ({"pick": lambda s, w: None}, "got NoneType"),
    "weight zero": ({"pick": lambda s, w: (w > 0).int().argmin(-1)}, "pick returns a token of weight zero"),
    "in place": ({"pick": lambda s, w: w.fill_(0.5).argmax(-1)}, "pick changes the weights"),
    "liar": ({"greedy": True}, "says that it is greedy, but .pick does not"),
    "a method": ({"greedy": lambda self: True}, "greedy must be True or False, a property or an attribute, got method"),
    "about": ({"about": lambda self, rows: None}, "about must take 5 arguments"),
    "leading": ({"leading": lambda self, x: (x > -1).sum(-1) + 1}, "leading must count coins"),
    "leading's floats": ({"leading": lambda self, x: (x > 0).sum(-1).float()}, "leading must return torch.int64"),
    "coin's floats": ({"coin": lambda self, x: x}, "coin must return torch.bool"),
    "coin's shape": ({"coin": lambda self, x: (x > 0).any()}, "must return torch"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_answers_that_are_none_are_one_sentence(pair: tuple[Any, Any], name: str) -> None:
    methods, words = WRONG[name]
    filters = {"top_k": 3} if name == "weight zero" else {}
    for rows in (1, 4):
        for window in (0,) if name.startswith("coin") else WINDOWS:  # of a window that falls no coin is tossed
            with pytest.raises(ValueError, match=words) as caught:
                by_both_doors(pair, lambda: wrong(**methods), window, rows, True, **filters)
            assert "\n" not in str(caught.value)
            assert "check_chance(Mine())" in str(caught.value)


def test_rows_that_do_not_count_may_say_anything() -> None:
    class Wild(kad.Sampled):
        def pick(self, weights: Tensor) -> Tensor:
            return torch.where(torch.tensor([True, False]), weights.argmax(-1), 99)

    looked = source(True, Wild(), [], CPU)
    looked.about(torch.arange(2), torch.zeros(2), torch.tensor([True, False]), "draft")
    assert looked.pick(torch.eye(2)).tolist() == [0, 1]
    looked.about(torch.arange(2), torch.zeros(2), torch.tensor([True, True]), "draft")
    with pytest.raises(ValueError, match="got 99"):
        looked.pick(torch.eye(2))


def test_greedy_runs_say_what_every_decision_is_about(pair: tuple[Any, Any]) -> None:
    chance = Logged(kad.Greedy())
    by_both_doors(pair, lambda: chance, 3, 4, False)
    assert {what for what, _, _ in chance.told} == {"draft", "accept", "last", "replace"}


def test_the_suite_takes_them() -> None:
    for chance in (Logged(kad.Greedy()), Slotted(kad.Sampled(generator())), Looked(kad.Sampled(generator()))):
        check_chance(chance)
    with pytest.raises(AssertionError, match="greedy must be True or False"):
        check_chance(wrong(greedy=lambda self: True))
