"""What an artifact is compared with: another file on a runtime, or the module of a checkpoint.

A little long: each kind of reference is one class beside the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load_beside, opened_file
from resnet_deploy.dependencies import INSTALL, require
from resnet_deploy.errors import (
    ArtifactError,
    MissingDependencyError,
    SpecError,
    UnsupportedGraphError,
)
from resnet_deploy.graph.layers import Layer, layers_of
from resnet_deploy.models.network import Network
from resnet_deploy.runners.base import Runner, infer_every
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import Family, InputFormat, ModelSpec, Optimization, OutputSpec, SessionSpec
from resnet_deploy.spec.model_request import ModelRequest

if TYPE_CHECKING:
    from torch import nn


class Reference(Protocol):
    """Gives the outputs that an artifact should have."""

    @property
    def name(self) -> str:
        """What to call it in a report."""

    @property
    def format(self) -> InputFormat:
        """What its input holds; its preprocessing is that of what is compared with it."""

    def outputs(self, images: Array) -> tuple[Array, ...]:
        """Return every output, ``(N, ...)`` each, for images ``(N, C, H, W)``."""

    def layer_values(self, images: Array, layers: Sequence[Layer]) -> dict[str, Array]:
        """Return by layer name the results of those ``layers`` that it has."""


class FileReference:
    """An ONNX file on ``runner``.

    That is ``torch`` (eager, the module rebuilt from the file) or ``ort`` (ONNX Runtime, all
    optimisations off for single layers).
    """

    def __init__(self, given: Path | Artifact, *, runner: str, threads: int = 0) -> None:
        self._artifact = opened_file(given)
        self.name = f"{self._artifact.path.name} on {runner}"
        self.format = self._artifact.preprocess.format
        self._path = self._artifact.plain
        self._session = SessionSpec(threads=threads, spin=False)
        self._runner: Runner = open_runner(runner, self._path, self._session)
        self._runner_name = runner

    def outputs(self, images: Array) -> tuple[Array, ...]:
        """See :meth:`Reference.outputs`; they are in the file's order."""
        return infer_every(self._runner, images)

    def layer_values(self, images: Array, layers: Sequence[Layer]) -> dict[str, Array]:
        """See :meth:`Reference.layer_values`."""
        # By name, not by tensor: the passes rename the tensors of foreign files.
        own = {layer.name: layer for layer in layers_of(read_model(self._path))}
        wanted = {layer.name: own[layer.name] for layer in layers if layer.name in own}
        tensors = [layer.observed for layer in wanted.values()]
        if not tensors:
            return {}
        if self._runner_name == "torch":
            from resnet_deploy.runners.torch_runner import TorchRunner

            observed = TorchRunner(self._path, self._session).trace(images, tensors)
        else:
            plain = replace(self._session, optimization=Optimization.OFF)
            observed = OrtRunner(self._path, plain).trace(images, tensors)
        return {name: layer.value(observed) for name, layer in wanted.items()}


class ModuleReference:
    """A PyTorch module in eval mode, BatchNorm not folded, as it was trained.

    It gives what ``output`` is made of: see ``models.outputs``.
    """

    format = InputFormat.FLOAT_NCHW

    def __init__(self, module: nn.Module, name: str, output: OutputSpec | None = None) -> None:
        self.name = name
        self._module = module
        self._output = output or OutputSpec()

    def outputs(self, images: Array) -> tuple[Array, ...]:
        """See :meth:`Reference.outputs`."""
        import torch

        from resnet_deploy.models.outputs import answers
        from resnet_deploy.models.tracing import ONE_AT_A_TIME

        with ONE_AT_A_TIME, torch.inference_mode():
            found = answers(self._module(torch.from_numpy(images)), self._output)
        return tuple(output.numpy() for output in found)

    def layer_values(self, images: Array, layers: Sequence[Layer]) -> dict[str, Array]:
        """See :meth:`Reference.layer_values`.

        A convolution's result in the file is behind its BatchNorm, so a folded copy is watched.
        """
        import torch

        from resnet_deploy.models.fold import fold_batchnorm
        from resnet_deploy.models.tracing import ONE_AT_A_TIME

        folded, _ = fold_batchnorm(self._module)
        modules = dict(folded.named_modules())
        values: dict[str, Array] = {}

        def keep(layer: Layer, module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor):
                value = output.clamp(0, layer.ceiling) if layer.activated else output
                values[layer.name] = np.array(value.numpy())

        handles = [
            modules[layer.name].register_forward_hook(partial(keep, layer))
            for layer in layers
            if layer.name in modules
        ]
        try:
            with ONE_AT_A_TIME, torch.inference_mode():
                folded(torch.from_numpy(images))
        finally:
            for handle in handles:
                handle.remove()
        return values


class Remembering:
    """A reference that is asked only once about the same images: fp32 and int8 files share them."""

    def __init__(self, reference: Reference) -> None:
        self.name = reference.name
        self.format = reference.format
        self._reference = reference
        self._known: dict[tuple[tuple[int, ...], bytes], tuple[Array, ...]] = {}

    def outputs(self, images: Array) -> tuple[Array, ...]:
        """See :meth:`Reference.outputs`."""
        key = images.shape, hashlib.sha256(images.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._reference.outputs(images)
        return self._known[key]

    def layer_values(self, images: Array, layers: Sequence[Layer]) -> dict[str, Array]:
        """See :meth:`Reference.layer_values`."""
        return self._reference.layer_values(images, layers)


def network_reference(network: Network, output: OutputSpec) -> ModuleReference:
    """Return the module of ``network``, which gives what ``output`` asks for.

    Raises:
        SpecError: this network can't give that.
    """
    from resnet_deploy.models.outputs import shaped

    return ModuleReference(shaped(network, output), f"{network.spec.name} in PyTorch", output)


def default_reference(artifact: Artifact, *, threads: int = 0) -> Reference:
    """Return PyTorch on the fp32 file: the artifact itself, or the one that it was made from.

    An int8 file was made from one, and so was a float16 file of this tool. What another tool wrote
    in half precision is compared with its own weights.

    Raises:
        ArtifactError: the fp32 file is not there.
        MissingDependencyError: torch is not installed.
        UnsupportedGraphError: the file can't be rebuilt in PyTorch.
    """
    fp32 = artifact
    if artifact.quantized or (artifact.precision == "fp16" and artifact.card is not None):
        fp32 = load_beside(fp32_beside(artifact), artifact)
    try:
        return FileReference(fp32, runner="torch", threads=threads)
    except MissingDependencyError as error:
        raise MissingDependencyError(
            f"comparing with PyTorch needs torch: {INSTALL}, or name another file: --against "
            f"{fp32.path}"
        ) from error
    except UnsupportedGraphError as error:
        raise UnsupportedGraphError(
            f"{error}: compare it with another file of this network on ONNX Runtime: --against "
            "OTHER.onnx"
        ) from error


def fp32_beside(artifact: Artifact) -> Path:
    """Return ``resnet34.onnx`` for ``resnet34.int8.onnx`` and ``resnet34.fp16.onnx``.

    Raises:
        ArtifactError: there is no such file; the message says how to name it.
    """
    name = artifact.path.name.replace(f".{artifact.precision}.onnx", ".onnx")
    path = artifact.path.with_name(name)
    if path == artifact.path or not path.exists():
        raise ArtifactError(
            f"the fp32 file that {artifact.path} was made from is not beside it: name it with "
            "--against"
        )
    return path


def reference_for(
    artifact: Artifact,
    against: Network | Path | None,
    *,
    factory: str | None = None,
    threads: int = 0,
) -> Reference:
    """Return what ``artifact`` is verified against: a network, an ONNX file, a checkpoint, PyTorch.

    ``factory`` builds the network of a checkpoint that is none of this package's; the one that the
    card names is not imported because a file says so.

    Raises:
        ResnetDeployError: the reference can't be read, or is of another network.
    """
    if against is None:
        return default_reference(artifact, threads=threads)
    card = artifact.card
    output = OutputSpec() if card is None else card.output
    if isinstance(against, Network):
        return network_reference(against, output)
    if against.suffix == ".onnx":
        other = load_beside(against, artifact)
        return FileReference(other, runner="ort", threads=threads)
    loaded = network_behind(artifact, against, factory=factory)
    from resnet_deploy.models.outputs import shape_output

    shape_output(loaded.module, loaded.spec, output)
    return ModuleReference(loaded.module, f"{against.name} in PyTorch", output)


def network_behind(artifact: Artifact, checkpoint: Path, *, factory: str | None = None) -> Network:
    """Return the network of ``checkpoint``, built as the card of ``artifact`` says.

    Raises:
        ResnetDeployError: the checkpoint can't be read, or is of another network.
    """
    require("torch", f"comparing with the checkpoint {checkpoint.name}")
    from resnet_deploy.loading.checkpoint import resolve

    card = artifact.card
    request = ModelRequest(model=factory) if card is None else _request_of(card.model, factory)
    return resolve(request, str(checkpoint))


def _request_of(spec: ModelSpec, factory: str | None) -> ModelRequest:
    """Return the request that leads to ``spec``; the checkpoint must fit it.

    Raises:
        SpecError: the network is not of this package and no factory is named, or the reverse.
    """
    custom = spec.family is Family.CUSTOM
    if custom and factory is None:
        raise SpecError(
            "the file's network is not one of this package's: name what builds it with --model "
            "package.module:factory, if you trust that code"
        )
    if factory is not None and not custom:
        raise SpecError(f"the file is of a {spec.name}: drop --model {factory}")
    if custom:
        return ModelRequest(model=factory, image_size=spec.image_size, in_channels=spec.in_channels)
    if spec.family is Family.VGG:
        return ModelRequest(
            model=spec.name, image_size=spec.image_size, in_channels=spec.in_channels
        )
    return ModelRequest(
        depth=spec.depth if spec.design is None else None,
        design=spec.design,
        variant=spec.variant,
        shortcut=None if spec.plain else spec.shortcut,
        stem=spec.stem,
        plain=spec.plain,
        num_classes=spec.num_classes or None,  # an embedding has none
        image_size=spec.image_size,
        in_channels=spec.in_channels,
        bn_eps=spec.bn_eps,
        padding=spec.padding,
        pool=spec.pool,
    )
