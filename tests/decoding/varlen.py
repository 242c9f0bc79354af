"""What `torch.nn.attention.varlen.varlen_attn` documents, written out row by row, with what it would refuse."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Varlen:
    """A stand-in for the kernel; ``calls`` are the shapes and windows that it was asked for.

    Attributes:
        aligned: "bottom right", as flash attention does it, or "top left", which would be another law.
    """

    def __init__(self, aligned: str = "bottom right") -> None:
        self.aligned, self.calls = aligned, list[tuple[tuple[int, ...], tuple[int, int]]]()

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int, *,
        scale: float | None = None, window_size: tuple[int, int] = (-1, -1), enable_gqa: bool = False,
        seqused_k: Tensor, num_splits: int | None = None,
    ) -> Tensor:  # fmt: skip
        self.calls.append((tuple(query.shape), window_size))
        rows, size = len(cu_seq_q) - 1, query.shape[-1]
        for x in (query, key, value):
            assert x.dim() == 3
            assert x.shape[-1] == size
            assert x.stride(-1) == 1
            assert x.dtype == query.dtype
        assert size % 8 == 0
        assert size <= 256
        for x, n in ((cu_seq_q, rows + 1), (cu_seq_k, rows + 1), (seqused_k, rows)):
            assert x.dtype == torch.int32
            assert x.is_contiguous()
            assert x.shape == (n,)
        assert enable_gqa or query.shape[1] == key.shape[1]
        assert query.shape[1] % key.shape[1] == 0
        at, begin, used = cu_seq_q.tolist(), cu_seq_k.tolist(), seqused_k.tolist()
        assert (at[-1], begin[-1]) == (len(query), len(key))
        out = torch.full_like(query, float("nan"))
        for row in range(rows):
            assert 0 < used[row] <= begin[row + 1] - begin[row] <= max_k
            assert at[row + 1] - at[row] <= max_q
            keys = slice(begin[row], begin[row] + used[row])
            part = slice(at[row], at[row + 1])
            out[part] = self.row(query[part], key[keys], value[keys], scale or size**-0.5, window_size)
        return out

    def row(self, query: Tensor, key: Tensor, value: Tensor, scale: float, sides: tuple[int, int]) -> Tensor:
        times, width, seen = query.shape[1] // key.shape[1], len(query), len(key)
        key, value = (x.repeat_interleave(times, 1) for x in (key, value))
        shift = seen - width if self.aligned == "bottom right" else 0
        place = torch.arange(width, device=query.device)[:, None] + shift
        slot = torch.arange(seen, device=query.device)
        hidden = torch.zeros(width, seen, dtype=torch.bool, device=query.device)
        if sides[0] >= 0:
            hidden |= slot < place - sides[0]
        if sides[1] >= 0:
            hidden |= slot > place + sides[1]
        scores = torch.einsum("qhd,khd->hqk", query, key) * scale
        weights = torch.softmax(scores.masked_fill(hidden, float("-inf")), -1).nan_to_num()  # nothing seen: zeros
        return torch.einsum("hqk,khd->qhd", weights, value)


def traced(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int, *,
    scale: float, window_size: tuple[int, int], enable_gqa: bool, seqused_k: Tensor,
) -> Tensor:  # fmt: skip
    """The same as one operation of torch's, as the real one is: a graph does not look into it."""
    found: Tensor = operation(
        query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale, window_size, enable_gqa, seqused_k
    )
    return found


def run(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int, scale: float,
    window_size: Sequence[int], enable_gqa: bool, seqused_k: Tensor,
) -> Tensor:  # fmt: skip
    left, right = window_size
    return Varlen()(
        query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale=scale, window_size=(left, right),
        enable_gqa=enable_gqa, seqused_k=seqused_k,
    )  # fmt: skip


operation = torch.library.custom_op(
    "kad_tests::varlen", run, mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor a, Tensor b, int m, int n, float s, int[] w, bool g, Tensor u) -> Tensor",
)  # fmt: skip
operation.register_fake(lambda query, *more: torch.empty_like(query))
