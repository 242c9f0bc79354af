"""vLLM's second model runner, which is written for GPUs, on a CPU: Triton's interpreter in place of a compiler."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class CPUBackend:
    """Tells Triton's package of backends, once it is imported, that there is a CPU."""

    def __init__(self) -> None:
        self.busy = False

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "triton.backends" or self.busy:
            return None
        self.busy = True
        spec = importlib.util.find_spec(name)
        self.busy = False
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            module.backends["cpu"] = module.Backend(None, Driver)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


class Driver:
    @staticmethod
    def is_active() -> bool:
        return True

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cpu", 0, 32)

    def get_current_device(self) -> int:
        return 0

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("cpu")


def install() -> None:
    """Before vLLM is imported."""
    os.environ |= {"TRITON_INTERPRET": "1", "VLLM_USE_V2_MODEL_RUNNER": "1"}
    sys.meta_path.insert(0, CPUBackend())  # type: ignore[arg-type]
    import numpy as np
    import triton.language as tl
    import triton.runtime.interpreter as interpreter
    from triton.language.extra import libdevice

    # The interpreter lacks two things that its compiler has: masks of integers, and log1p.
    builder, handle_of = interpreter.InterpreterBuilder, interpreter.TensorHandle
    store, load = builder.create_masked_store, builder.create_masked_load

    def mask_of(handle: Any) -> Any:
        return (
            None
            if handle is None
            else handle_of(np.ascontiguousarray(np.asarray(handle.data).astype(bool)), handle.dtype)
        )

    builder.create_masked_store = lambda self, to, value, mask, *rest: store(self, to, value, mask_of(mask), *rest)
    builder.create_masked_load = lambda self, place, mask, *rest: load(self, place, mask_of(mask), *rest)
    libdevice.log1p = lambda x: tl.log(x + 1.0)
