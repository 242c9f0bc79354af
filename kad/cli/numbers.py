"""Distributions from a stranger's file: what it claims is compared with what it holds before any memory is taken."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGEST = 2**27  # numbers: a gibibyte of float64
BYTES = 2**31  # of a file, unpacked


def read_numbers(file: Path) -> Tensor:
    """The numbers of a .npy, .pt or .csv file as float64: ``(steps, V)``, one row for a vector.

    Raises:
        ValueError: no such file, another format, more than `LARGEST` numbers, or a tensor that claims more than it stores;
            one sentence.
    """
    readers = {".npy": from_npy, ".pt": from_pt, ".csv": from_csv}
    if file.suffix not in readers:
        raise ValueError(f"cannot read a distribution from {file}: it must end in .npy, .pt or .csv.")
    try:
        size = file.stat().st_size
        if not file.is_file():
            raise ValueError("it is no file.")
        if size > BYTES:
            raise ValueError(f"it is larger than {BYTES / 2**30:g} GiB.")
        values = torch.from_numpy(np.atleast_2d(readers[file.suffix](file)))
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror or 'not such a file'}.") from error
    except Exception as error:
        raise ValueError(f"cannot read a distribution from {file}: {' '.join(str(error).split())}") from error
    if values.ndim != 2 or values.numel() == 0:
        raise ValueError(f"{file} must hold a vector, or one row per step; its shape is {tuple(values.shape)}.")
    return values


def from_npy(file: Path) -> Any:
    """Mapped first: a header that claims more than the file holds is refused there."""
    try:
        numbers = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError("it is no array of numbers saved with numpy.save, or holds less than it claims.") from error
    if not isinstance(numbers, np.ndarray):
        raise ValueError("it is an archive; save one array with numpy.save.")
    check_count(numbers.size)
    if numbers.dtype.kind not in "fiub":
        raise ValueError(f"it holds {numbers.dtype}, not real numbers.")
    return np.array(numbers, dtype=np.float64)


def from_pt(file: Path) -> Any:
    """By torch's reader for weights alone, which runs no code; a view that repeats few numbers is refused."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > BYTES:
                raise ValueError(f"unpacked it is larger than {BYTES / 2**30:g} GiB.")
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError("it is no tensor saved with torch.save, or it is damaged.") from error
    if (
        not isinstance(found, Tensor)
        or found.is_nested
        or found.layout is not torch.strided
        or found.device.type != "cpu"
    ):
        raise ValueError("it must hold one dense tensor, saved with torch.save.")
    check_count(found.numel())
    stored = found.untyped_storage().nbytes() // found.element_size()
    if found.numel() > stored:
        raise ValueError(
            f"it claims {found.numel():,} numbers and stores {stored:,}; save the tensor after .contiguous()."
        )
    if found.is_complex() or found.is_quantized:
        raise ValueError(f"it holds {str(found.dtype).removeprefix('torch.')}, not real numbers.")
    return found.detach().double().numpy()


def from_csv(file: Path) -> Any:
    """Commas between numbers, a line per row; one column is a vector."""
    with open(file, encoding="utf-8-sig") as text:
        if not text.read(1).strip():
            raise ValueError("it is empty.")
        text.seek(0)
        numbers = np.loadtxt(text, delimiter=",", ndmin=2)
    check_count(numbers.size)
    return numbers.T if numbers.shape[1] == 1 else numbers


def check_count(count: int) -> None:
    if count > LARGEST:
        raise ValueError(f"it holds {count:,} numbers; at most {LARGEST:,} are read.")
