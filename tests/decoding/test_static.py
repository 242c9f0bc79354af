"""Static caches: one memory a model, laid out anew by every run, and gone when it is released."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

import kad
from kad.decoding import compiled
from kad.decoding.lanes import lane_for
from kad.decoding.static import IDLE, StaticMemory
from kad.decoding.wrappers import kept_for

from ..models import ragged, tiny

pytestmark = pytest.mark.usefixtures("small_shapes")


class Graph:
    """What a counting backend makes of a graph."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self.run = run

    def __call__(self, *inputs: Any) -> Any:
        return self.run(*inputs)


@pytest.fixture
def graphs() -> list[weakref.ref]:
    """All graphs that were made with the options of `counted`."""
    return []


@pytest.fixture
def counted(graphs: list[weakref.ref]) -> dict[str, Any]:
    def backend(module: torch.fx.GraphModule, inputs: object) -> Graph:
        graph = Graph(module.forward)
        graphs.append(weakref.ref(graph))
        return graph

    return {"backend": backend}


def idle(model: Any) -> list[StaticMemory]:
    return kept_for(model)[IDLE]


def numbers(memory: StaticMemory) -> list[torch.Tensor]:
    return [x for pair in memory.layers for *_, x in pair]


@pytest.mark.parametrize(
    ("family", "target", "shapes"),
    [
        ("llama", kad.dual(0.2), ((1, 4), (2, 4), (1, 4))),
        ("gemma3", kad.Base(), ((2, 3), (1, 3), (2, 3))),
    ],
)
def test_one_memory_serves_runs_of_all_shapes(
    family: str,
    target: kad.Target,
    shapes: tuple[tuple[int, int], ...],
    counted: dict[str, Any],
    graphs: list[weakref.ref],
) -> None:
    """Fewer rows, more rows, longer and shorter: the ids without compiling, one memory, and no graph twice."""
    base, proxy = tiny(family, 1, torch.float64), tiny("llama", 2, torch.float64)
    ids, mask = ragged(3, seed=3)
    made, largest = set[tuple[int, int]](), 0
    for rows, new in shapes:
        options = {
            "input_ids": ids[:rows],
            "attention_mask": mask[:rows],
            "target": target,
            "window": int(family == "llama"),
        }
        before = len(graphs)
        plain, fast = (kad.generate(base, proxy, max_new_tokens=new, compile=c, **options) for c in (False, counted))
        assert fast.trace.ids.tolist() == plain.trace.ids.tolist()
        assert (len(graphs) == before) == ((rows, new) in made), "a shape that was there is compiled anew, and no other"
        made.add((rows, new))
        (memory,) = idle(base)
        assert memory.places >= max(largest, rows * (ids.shape[1] + new))  # the largest stays
        largest = memory.places
        for x in numbers(memory):  # what a sick run leaves behind
            x.fill_(torch.nan)


def test_a_smaller_run_looks_at_the_same_numbers_and_a_larger_one_frees_them_first(counted: dict[str, Any]) -> None:
    model = tiny("llama", 1)

    def lane(rows: int, room: int) -> Any:
        return lane_for("base", model, [torch.tensor([3, 4])] * rows, room, 32, counted)

    unused = lane(9, 90)
    assert IDLE not in kept_for(model)  # nothing is allocated for a lane that reads nothing
    one = lane(4, 30)
    first = one.model.static.layers[0]
    assert first.keys.shape == (4, 2, 33, 8)
    place, old = first.keys.data_ptr(), weakref.ref(first.keys)
    two = lane(1, 4)  # at once: another memory
    assert two.model.static.layers[0].keys.data_ptr() != place
    del first, one, two, unused
    assert [m.places for m in idle(model)] == [4 * 33]  # the larger is kept
    small = lane(2, 4)
    layer = small.model.static.layers[0]
    assert (layer.keys.data_ptr(), tuple(layer.keys.shape), layer.keys.is_contiguous()) == (place, (2, 2, 9, 8), True)
    again = layer.keys
    del small, layer
    assert lane(2, 4).model.static.layers[0].keys is again
    del again
    assert old() is not None
    large = lane(5, 30)
    assert large.model.static.layers[0].keys.shape[0] == 5
    assert old() is None
    assert idle(model) == []
    del large
    assert [m.places for m in idle(model)] == [5 * 33]


def test_a_released_pair_holds_nothing_and_works_again(counted: dict[str, Any], graphs: list[weakref.ref]) -> None:
    pair = kad.Pair(tiny("llama", 1), tiny("qwen3", 2), vocabulary=32, compile=counted)
    options = {"input_ids": [[3, 4, 5]], "max_new_tokens": 4, "window": 1}
    out = pair.generate(None, kad.dual(0.2), **options).trace.ids.tolist()
    memory = [weakref.ref(x) for model in (pair.base, pair.proxy) for one in idle(model) for x in numbers(one)]
    assert memory
    assert all(one() is not None for one in [*memory, *graphs])
    pair.release()
    assert all(one() is None for one in [*memory, *graphs])
    pair.release()
    before = len(graphs)
    assert pair.generate(None, kad.dual(0.2), **options).trace.ids.tolist() == out
    assert len(graphs) > before


def test_a_run_in_progress_outlives_a_release(counted: dict[str, Any]) -> None:
    pair = kad.Pair(tiny("llama", 1), tiny("llama", 2), vocabulary=32, compile=counted)
    options = {"input_ids": [[3, 4, 5]], "max_new_tokens": 6, "window": 1}
    whole = [round.token.tolist() for round in pair.rounds(None, kad.dual(0.2), **options)]
    running = pair.rounds(None, kad.dual(0.2), **options)
    begun = [next(running).token.tolist()]
    pair.release()
    assert begun + [round.token.tolist() for round in running] == whole
    del running
    assert IDLE not in kept_for(pair.base)  # what it had is no model's any more


def test_a_copy_of_a_compiled_model_is_compiled_anew() -> None:
    """Nor does it hold a copy of the memory."""
    model = tiny("llama", 1)
    options = {"target": kad.Base(), "window": 0, "max_new_tokens": 6}

    def ids(one: Any, how: Any) -> list[list[int]]:
        return kad.generate(one, one, [[3, 4, 5]], compile=how, **options).trace.ids.tolist()

    mine = ids(model, {"backend": "eager"})
    other = copy.deepcopy(model)
    assert not kept_for(other)
    with torch.no_grad():
        other.lm_head.weight.copy_(other.lm_head.weight.flip(0))
    assert ids(other, {"backend": "eager"}) == ids(other, False) != mine


def test_runs_in_inference_mode_and_out_of_it_use_one_memory() -> None:
    model = tiny("llama", 1)
    options = {"target": kad.Base(), "window": 0, "max_new_tokens": 3, "compile": {"backend": "eager"}}
    found, places = [], set[int]()
    for mode in (True, False, True):
        with torch.inference_mode(mode):
            found.append(kad.generate(model, model, [[3, 4]], **options).trace.ids.tolist())
        (memory,) = idle(model)
        places.add(numbers(memory)[0].data_ptr())
    assert found[0] == found[1] == found[2]
    assert len(places) == 1


def test_every_model_has_its_own_limit_of_graphs(monkeypatch: pytest.MonkeyPatch, counted: dict, graphs: list) -> None:
    options = {"target": kad.Base(), "window": 0, "max_new_tokens": 4, "compile": counted}
    for family in ("llama", "qwen3"):
        model = tiny(family, 1)
        kad.generate(model, model, [[3, 4, 5]], **options)
        monkeypatch.setattr(compiled, "GRAPHS", len(graphs))  # all that the first has, and as many as the second needs
    assert len(graphs) > 2
    monkeypatch.setattr(compiled, "GRAPHS", len(graphs) // 2)
    with pytest.raises(RuntimeError, match=r"cannot be compiled here .*use compile=False"):
        kad.generate(model, model, [[3, 4, 5]] * 2, **options | {"max_new_tokens": 30})
