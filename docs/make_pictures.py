"""Makes the README's pictures from a demo run: ``python docs/make_pictures.py kad-demo-1``."""

import shutil
import sys
from pathlib import Path

import torch
from rich.console import Console

from kad import demo
from kad.demo.problems import held_out
from kad.demo.report import examples

IMAGES = Path(__file__).parent / "images"

if __name__ == "__main__":
    run = Path(sys.argv[1])
    for name in ("accuracy.png", "acceptance.png"):
        shutil.copy(run / name, IMAGES / name)
    torch.set_grad_enabled(False)
    console = Console(record=True, width=96, file=Path("/dev/null").open("w"), force_terminal=True, color_system="truecolor")
    console.print(examples(demo.load(), held_out(3)))
    console.save_svg(str(IMAGES / "trace.svg"), title="kad demo")
