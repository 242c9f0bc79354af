"""Builds and loads the one thing that Python cannot stand in for: a device guard."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("guard.cpp")


@functools.cache
def missing() -> str | None:
    """Why there can be no simulated device here, in a sentence; None where there is one now."""
    if torch.backends.cuda.is_built():
        return "torch is built for CUDA here: its own guard cannot be replaced by a simulated one."
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    if compiler is None:
        return "a simulated device needs a C++ compiler (g++ or clang++), and none is installed."
    ctypes.CDLL(str(built(compiler)))
    return None


def built(compiler: str) -> Path:
    """The compiled guard of this torch, made once."""
    about = f"{torch.__version__} {compiler} {SOURCE.read_text()}".encode()
    folder = Path(tempfile.gettempdir()) / f"kad_simulated_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    library = folder / f"guard_{hashlib.sha256(about).hexdigest()[:16]}.so"
    if not library.exists():
        torch_folder = Path(torch.__file__).parent
        mine = library.with_suffix(f".{os.getpid()}")  # processes of one test run build it side by side
        subprocess.run(
            [
                compiler, "-shared", "-fPIC", "-std=c++20", str(SOURCE), "-o", str(mine),
                f"-I{torch_folder / 'include'}", f"-I{torch_folder / 'include/torch/csrc/api/include'}",
                f"-L{torch_folder / 'lib'}", "-lc10",
            ],
            check=True,
        )  # fmt: skip
        mine.replace(library)
    return library
