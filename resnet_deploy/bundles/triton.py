"""The triton bundle: a model repository for Triton's onnxruntime backend, KServe YAML, a client.

Fields are those of the published ``model_config.proto``; the backend's parameters are listed under
"Model Config Options" in the README of triton-inference-server/onnxruntime_backend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from resnet_deploy.artifact.model_file import TensorSpec
from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.kit import Kit, Rendered
from resnet_deploy.spec import OutputKind

REPOSITORY: Final = "model_repository"

MAX_BATCH_SIZE: Final = 8
_PREFERRED_BATCH_SIZES: Final = (4, 8)
_QUEUE_DELAY_US: Final = 1000
"""Short against the time that a batch takes on CPUs; waiting fills batches."""

_INSTANCES: Final = 2
_THREADS: Final = 2
"""Of each instance. The product is the number of CPUs that the server gets: threads that wait for
each other's core cost more than one core less."""

_LONGEST_NAME: Final = 40
"""Kubernetes allows 63 characters, and KServe appends to them."""

_DATA_TYPES: Final = {
    "bool": "TYPE_BOOL",
    **{f"uint{bits}": f"TYPE_UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"TYPE_INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"TYPE_FP{bits}" for bits in (16, 32, 64)},
    "bfloat16": "TYPE_BF16",
}

_COMMANDS: Final = (
    "docker run --rm --detach --name {name} --cpus {cpus} --publish 8000:8000 "
    '--volume "$PWD/model_repository:/models:ro" tritonserver:YY.MM-py3 '
    "tritonserver --model-repository=/models",
    "python3 -m pip install numpy pillow",
    "python3 client.py --self-test",
)


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output as ``config.pbtxt`` says it; -1 is a dynamic dimension."""

    name: str
    data_type: str
    dims: tuple[int, ...]


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    name = model_name(kit.contract.name)
    batched = kit.contract.batch is None
    instances, threads = _instances_and_threads(kit)
    commands = tuple(command.format(name=name, cpus=instances * threads) for command in _COMMANDS)
    own = kit.render_folder(
        "triton",
        name=name,
        repository=REPOSITORY,
        batched=batched,
        max_batch_size=MAX_BATCH_SIZE if batched else 0,
        preferred=_PREFERRED_BATCH_SIZES,
        queue_delay_us=_QUEUE_DELAY_US,
        instances=instances,
        threads=threads,
        input=_input(kit.contract),
        warmup_dims=_warmup_dims(kit.contract),
        outputs=tuple(_output(kit.contract, output) for output in kit.network.artifact.outputs),
        labelled=labelled(kit.contract),
        commands=commands,
        example=kit.cases[-1].image_file,
    )
    files = {**kit.common_files(), **own}
    folder = f"{REPOSITORY}/{name}"
    files[f"{folder}/1/{kit.network.file}"] = files.pop(kit.network.file)
    for file in (kit.labels_file, "config.pbtxt"):
        if file is not None:
            files[f"{folder}/{file}"] = files.pop(file)
    files["client.py"] = files.pop("client.py.j2")  # called .py it would be taken for Python
    return Rendered(
        files=files,
        commands=commands,
        notes=(
            "the first command needs Docker and NVIDIA's tritonserver image; put its release for "
            "YY.MM",
        ),
    )


def model_name(stem: str) -> str:
    """Return ``stem`` as a name that folders, URLs, Triton and Kubernetes take all alike.

    That is at most 40 lower-case letters, digits and hyphens, the first one a letter (RFC 1035).
    """
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    if not name[:1].isalpha():
        name = f"net-{name}"
    return name[:_LONGEST_NAME].strip("-")


def labelled(contract: Contract) -> bool:
    """Return whether Triton can name the classes itself: one value for each, of one image.

    In a top-K net's outputs and in arrays the place of a value is no class.
    """
    by_class = contract.has_classes and contract.output_kind is not OutputKind.TOP_K
    return by_class and contract.batch in (None, 1)


def _instances_and_threads(kit: Kit) -> tuple[int, int]:
    """Return how many instances, and threads of each: as ``tune`` measured, where it did."""
    card = kit.network.artifact.card
    for step in reversed(card.steps if card is not None else ()):
        if step.name == "tune" and step.options.get("runner") == "ort":
            instances, threads = step.options.get("instances"), step.options.get("threads")
            if (
                isinstance(instances, int)
                and isinstance(threads, int)
                and min(instances, threads) > 0
            ):
                return instances, threads
    return _INSTANCES, _THREADS


def _input(contract: Contract) -> Tensor:
    dims = _whole(contract, contract.input_shape or (-1, -1, contract.preprocess.channels))
    return Tensor(name=contract.input_name, data_type=_DATA_TYPES[contract.input_dtype], dims=dims)


def _warmup_dims(contract: Contract) -> tuple[int, ...]:
    spec = contract.preprocess
    return _whole(contract, contract.input_shape or (*spec.resize, spec.channels))


def _output(contract: Contract, tensor: TensorSpec) -> Tensor:
    dims = _whole(contract, tuple(-1 if size is None else size for size in tensor.shape[1:]))
    return Tensor(name=tensor.name, data_type=_DATA_TYPES[tensor.dtype], dims=dims)


def _whole(contract: Contract, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Triton adds the dimension of a batch itself, but not where its size is fixed."""
    return dims if contract.batch is None else (contract.batch, *dims)
