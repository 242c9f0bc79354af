"""Numbers from a file of somebody's: looked at before they are unfolded, since a small file can stand for a huge array."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

MOST_NUMBERS = 2**28  # numbers; 1,700 steps of a vocabulary of 150,000
CSV_BYTES = 2**30


def read_array(path: Path) -> Tensor:
    """The real numbers of a .npy, .pt or .csv file in float64, ``(rows, V)`` or ``(V,)``.

    Raises:
        ValueError: another kind of file or of content, or more numbers than `MOST_NUMBERS`.
        OSError: it cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "p.npy"
    >>> np.save(path, np.array([0.75, 0.25]))
    >>> read_array(path)
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    readers = {".npy": of_npy, ".pt": of_pt, ".csv": of_csv}
    if path.suffix not in readers:
        raise ValueError("it must end in .npy, .pt or .csv.")
    return readers[path.suffix](path)


def check_amount(count: int, kind: str) -> None:
    """Raise a ValueError unless so many numbers of this kind can be used."""
    if "complex" in kind:
        raise ValueError("it holds complex numbers; probabilities and logits are real.")
    if count > MOST_NUMBERS:
        raise ValueError(f"it stands for {count:,} numbers; at most {MOST_NUMBERS:,} are read.")


def of_npy(path: Path) -> Tensor:
    try:
        with np.errstate(over="raise"):  # a shape beyond 64 bits
            found = np.load(path, mmap_mode="r", allow_pickle=False)  # maps the file: its header alone is read
    except (ValueError, ArithmeticError) as error:  # whose message advises to trust the file
        raise ValueError("it is no array of numbers saved with numpy.save, or holds less than it claims.") from error
    if not isinstance(found, np.ndarray):
        raise ValueError("it is an archive; save one array.")
    if found.dtype.kind not in "biufc":
        raise ValueError(f"it holds {found.dtype}, no numbers.")
    check_amount(found.size, str(found.dtype))
    return torch.from_numpy(np.array(found, dtype=np.float64))


def of_pt(path: Path) -> Tensor:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > path.stat().st_size:  # torch.save does not compress
            raise ValueError(f"it unpacks to {size:,} bytes, more than it has; save the tensor again with torch.save.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whose message advises to trust the file
        raise ValueError("it is no tensor saved with torch.save, or it is damaged.") from error
    if not isinstance(found, Tensor) or found.is_nested or found.layout != torch.strided or found.is_quantized:
        raise ValueError(f"it holds a {type(found).__name__}, no plain tensor.")
    check_amount(found.numel(), str(found.dtype))
    if found.device.type != "cpu":
        raise ValueError("its tensor holds no numbers (it was saved from the device meta).")
    if found.untyped_storage().nbytes() < found.numel() * found.element_size():
        raise ValueError(
            f"its tensor of {found.numel():,} numbers repeats fewer stored ones; save a contiguous() tensor."
        )
    return found.detach().double()


def of_csv(path: Path) -> Tensor:
    if (size := path.stat().st_size) > CSV_BYTES:
        raise ValueError(f"it has {size:,} bytes; at most {CSV_BYTES:,} are read.")
    text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ValueError("it is empty.")
    found = np.loadtxt(text.splitlines(), delimiter=",", ndmin=2)
    return torch.from_numpy(found.T if found.shape[1] == 1 else found)
