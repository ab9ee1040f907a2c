"""Training steps that TorchInductor compiles."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from resnet_deploy.errors import MissingDependencyError
from resnet_deploy.runners.cpp_compiler import what_is_missing


def compiled(network: nn.Module) -> nn.Module:
    """Return ``network`` compiled at its first step; both share their weights.

    Raises:
        MissingDependencyError: a C++ compiler or Python's headers are not installed.
    """
    missing = what_is_missing()
    if missing is not None:
        raise MissingDependencyError(f"compile = true in the recipe needs {missing}")
    return _Compiled(network)


class _Compiled(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # TorchInductor's imports use what PyTorch itself has deprecated.
            warnings.simplefilter("ignore")
            # In this process: helpers that compile would outlive the first step.
            self._network = torch.compile(network, dynamic=False, options={"compile_threads": 1})
        self._called = False

    def forward(self, images: Tensor) -> Any:
        """Return the logits of ``images``."""
        if self._called:
            return self._network(images)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logits = self._network(images)
        self._called = True
        return logits
