"""PyTorch in fp32: eager as it is written, or compiled with channels last and frozen weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from resnet_deploy.measure.child import main
from resnet_deploy.spec import SessionSpec


def load_module(path: Path) -> Any:
    """Return the network whose depth and state dict are in ``path``."""
    import torch

    from resnet_deploy.models.registry import skeleton
    from resnet_deploy.spec import resnet_spec

    stored = torch.load(path, weights_only=True)
    module = skeleton(resnet_spec(stored["depth"]))
    module.load_state_dict(stored["state"])
    return module


class TorchRunner:
    """Runs a module; ``name`` is ``eager``, ``compile`` or ``exported``."""

    def __init__(self, name: str, path: Path, threads: int) -> None:
        import torch
        from torch._inductor import config

        self.name, self.input = name, None
        torch.set_num_threads(threads)
        config.freezing = True
        start = time.perf_counter_ns()
        self._module = self._open(name, path)
        self._channels_last = name != "eager"
        self.load_ns = time.perf_counter_ns() - start

    @staticmethod
    def _open(name: str, path: Path) -> Any:
        import torch

        if name == "exported":
            import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer  # noqa: F401

            return torch.compile(torch.export.load(path).module())
        module = load_module(path)
        if name == "eager":
            return module
        return torch.compile(module.to(memory_format=torch.channels_last))

    def infer(self, batch: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            images = torch.from_numpy(batch)
            if self._channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            return self._module(images).numpy()

    def close(self) -> None:
        del self._module


def opener(name: str, path: Path, spec: SessionSpec) -> Any:
    return TorchRunner(name, path, spec.threads)


if __name__ == "__main__":
    main(opener)
