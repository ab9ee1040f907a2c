"""What a cell of a matrix depends on, as one hash: where it is the same, so is the result."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.model_file import bytes_with_weights
from resnet_deploy.data.calibration import CalibrationImages, calibration_images
from resnet_deploy.data.datasets import Data, Source
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.fp32_baseline import all_images
from resnet_deploy.models.network import Network
from resnet_deploy.results import Environment
from resnet_deploy.runners.alike import Machine
from resnet_deploy.spec import Effort, QuantSpec
from resnet_deploy.spec.matrix import CellOptions

_FORMAT = 1
"""Counts what is hashed."""


def cell_identity(
    source: Network | Artifact,
    options: CellOptions,
    *,
    calibration: Data | None,
    data: Data | None,
    bundle_data: Data | None,
    threads: int,
    environment: Environment,
) -> str:
    """Return the SHA-256 of all that the files of a cell depend on, by content.

    Those are the network as it was read, the options, the pictures, this program and what it is
    built on, the kind of CPU, and where something is timed the machine. Where the network and the
    pictures lie does not count.

    Raises:
        DatasetError: pictures can't be read.
    """
    contract = source.preprocess
    if isinstance(source, Artifact):
        contract = input_preprocess(source)
    seed = options.seed or 0
    quant = QuantSpec(samples=options.calibration_samples, effort=options.effort or Effort.FAST)
    samples = quant.samples_of(contract.pixels)
    pictures = [
        None
        if calibration is None
        else _content(calibration_images(calibration, contract, samples=samples, seed=seed)),
        *(
            None if each is None else _content(all_images(each, contract, seed=seed), each)
            for each in (data, bundle_data)
        ),
    ]
    machine = Machine.here()
    parts = {
        "format": _FORMAT,
        "source": _of_file(source) if isinstance(source, Artifact) else _of_network(source),
        "options": options.content,
        "pictures": pictures,
        "versions": {**environment.versions, **dict(machine.versions)},
        "cpu": [machine.architecture, *machine.isa],
        "timed": [environment.cpu, environment.cores, threads] if options.timed else None,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _content(images: CalibrationImages, data: Data | None = None) -> list[str]:
    """Return a name and hashes of ``images``, with their labels where ``data`` has them apart."""
    found = [images.name, images.content_key(), repr(images.dataset.classes)]
    labels = data.labels_file if isinstance(data, Source) else None
    return [*found, sha256_of(labels)] if isinstance(labels, Path) else found


def _of_file(artifact: Artifact) -> list[str]:
    """Return what is hashed of a file; ``plain`` is what runtimes get of it."""
    digest = hashlib.sha256(bytes_with_weights(artifact.path)).hexdigest()
    told = (artifact.preprocess, artifact.output_kind, [each.name for each in artifact.outputs])
    return [artifact.path.name, digest, repr(told), repr(artifact.card)]


def _of_network(network: Network) -> list[str]:
    """Return what is hashed of a network: its values, all that is known of it, and its code."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(network.module.state_dict().items()):
        values = tensor.detach().contiguous().reshape(-1)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(values.view(torch.uint8).numpy().data)
    kinds = {type(module) for module in network.module.modules()}
    code = sorted(f"{kind.__module__}.{kind.__qualname__} {_code(kind)}" for kind in kinds)
    known = replace(network, module=torch.nn.Identity())
    return [digest.hexdigest(), repr(known), repr(network.module), *code]


def _code(kind: type[Any]) -> str:
    """Return a hash of the source of a module's class: a factory of the user's may change."""
    try:
        return hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()
    except (OSError, TypeError):  # there is none, as in a notebook
        return ""
