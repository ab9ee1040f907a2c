"""PyTorch eager, the network rebuilt from the ONNX file alone: the usual baseline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_deploy.artifact import describe, read_model
from resnet_deploy.errors import MissingDependencyError, RunnerError
from resnet_deploy.runtime.base import Array
from resnet_deploy.runtime.cpu import default_threads
from resnet_deploy.spec import SessionSpec

if TYPE_CHECKING:
    from resnet_deploy.runtime.torch_graph import OnnxModule


class TorchRunner:
    """Runs an ONNX file as eager float32 PyTorch; an int8 file is emulated in float32.

    ``spec.optimization`` has no meaning here: eager PyTorch runs one operator after the other.
    The thread count is PyTorch's own, hence the whole process's.

    Raises:
        ArtifactError: the file is no ONNX image classifier.
        MissingDependencyError: torch is not installed.
        UnsupportedGraphError: an operator can't be rebuilt.
    """

    name = "torch"

    def __init__(self, path: Path, spec: SessionSpec | None = None) -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError(
                "the torch runner needs PyTorch: pip install 'resnet-deploy[export]'"
            ) from error
        from resnet_deploy.runtime.torch_graph import module_from_onnx

        self._path = path
        torch.set_num_threads((spec or SessionSpec()).threads or default_threads())
        start = time.perf_counter_ns()
        model = read_model(path)
        self._module: OnnxModule = module_from_onnx(model)
        self.load_ns = time.perf_counter_ns() - start
        self.input = describe(model, path).input
        self._traced: OnnxModule | None = None

    def infer(self, batch: Array) -> Array:
        """Return the logits ``(N, classes)`` of ``batch``.

        Raises:
            RunnerError: PyTorch can't run this batch, a wrong shape for instance.
        """
        import torch

        try:
            with torch.inference_mode():
                logits: Array = self._module(torch.from_numpy(batch)).numpy()
        except RuntimeError as error:
            raise self._failed(batch, error) from error
        return logits

    def trace(self, batch: Array, tensors: Sequence[str]) -> dict[str, Array]:
        """Return the values of ``tensors``, by their names in the ONNX file.

        Quantized tensors come as float32 that holds integers.

        Raises:
            RunnerError: no operator of the graph computes one of them.
        """
        import torch

        from resnet_deploy.runtime.torch_graph import module_from_onnx

        if self._traced is None:
            self._traced = module_from_onnx(read_model(self._path), inplace=False)
        try:
            with torch.inference_mode():
                values = self._traced.trace(torch.from_numpy(batch), tensors)
        except KeyError as error:
            raise RunnerError(
                f"{self._path} has no tensor {error}: name an output of one of its nodes"
            ) from error
        except RuntimeError as error:
            raise self._failed(batch, error) from error
        return {name: value.numpy() for name, value in values.items()}

    def _failed(self, batch: Array, error: RuntimeError) -> RunnerError:
        reason = " ".join(str(error).split())[:300]
        return RunnerError(
            f"PyTorch can't run {self._path} on an input of {list(batch.shape)} "
            f"{batch.dtype}: {reason}"
        )

    def close(self) -> None:
        """Free the model."""
        del self._module
        self._traced = None
