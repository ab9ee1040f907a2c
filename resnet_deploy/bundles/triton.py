"""The triton bundle: a model repository for one of Triton's backends, KServe YAML, a client.

Fields are those of the published ``model_config.proto``. A backend's parameters are listed in its
README: "Model Config Options" of triton-inference-server/onnxruntime_backend, and "Parameters" of
triton-inference-server/openvino_backend.

What the OpenVINO backend does with batches is in ``src/openvino.cc`` there: it compiles the model
for ``max_batch_size`` pictures alone (``ov::set_batch``), and a request of fewer fails, or is
filled up with zeros where ``ENABLE_BATCH_PADDING`` says so. That costs the whole batch for each
picture, so a request has one picture here. All instances share one compiled model: its streams are
what runs side by side, and ``INFERENCE_NUM_THREADS`` is for all of them.
"""

from __future__ import annotations

import importlib.resources
import re
from dataclasses import dataclass
from typing import Final

from resnet_deploy.artifact.model_file import TensorSpec
from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.kit import Kit, Rendered
from resnet_deploy.bundles.rendering import Written
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.bundles.tuned import Finding, finding_of
from resnet_deploy.spec import BundleRuntime, OutputKind
from resnet_deploy.visible import shell_line

REPOSITORY: Final = "model_repository"

_CHECKS: Final = "missing_pixels.py"
"""What the client refuses pictures by, as the library does: its own module."""

MAX_BATCH_SIZE: Final = 8
_PREFERRED_BATCH_SIZES: Final = (4, 8)
_QUEUE_DELAY_US: Final = 1000
"""Short against the time that a batch takes on CPUs; waiting fills batches."""

_INSTANCES: Final = 2
_THREADS: Final = 2
"""Of each instance. The product is the number of CPUs that the server gets: threads that wait for
each other's core cost more than one core less."""

OLDEST_RELEASE: Final = "26.05"
"""Of Triton. One request ends older ones: JSON that is nested deeply (pull request 156 of
triton-inference-server/common), or a body of millions of chunks (CVE-2025-23310)."""

GRACE_SECONDS: Final = 40
"""Between SIGTERM and SIGKILL. Told to end, Triton takes no new connection and waits up to 30
seconds (``--exit-timeout-secs``) until all are closed; Docker would kill it after 10, Kubernetes in
the moment when Triton stops waiting."""

_LONGEST_NAME: Final = 40
"""Kubernetes allows 63 characters, and KServe appends to them."""

_HINTS: Final = ("PERFORMANCE_HINT", "NUM_STREAMS")
"""Properties of OpenVINO that the backend has by the same name, besides the threads."""

_PRECISION: Final = "INFERENCE_PRECISION_HINT"

_DATA_TYPES: Final = {
    "bool": "TYPE_BOOL",
    **{f"uint{bits}": f"TYPE_UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"TYPE_INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"TYPE_FP{bits}" for bits in (16, 32, 64)},
    "bfloat16": "TYPE_BF16",
}

_COMMANDS: Final = (
    "docker run --rm --detach --name {name} --cpus {cpus} --stop-timeout {grace} "
    '--publish 8000:8000 --volume "$PWD/model_repository:/models:ro" tritonserver:YY.MM-py3 '
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
    runtime = kit.runtimes[0]
    openvino = runtime.kind is BundleRuntime.OPENVINO
    free = kit.contract.batch is None
    batched = free and not openvino
    instances, threads = _instances_and_threads(kit)
    commands = tuple(
        Written(command.format(name=name, cpus=instances * threads, grace=GRACE_SECONDS))
        for command in _COMMANDS
    )
    own = kit.render_folder(
        "triton",
        name=name,
        repository=REPOSITORY,
        oldest_release=OLDEST_RELEASE,
        grace_seconds=GRACE_SECONDS,
        batched=batched,
        runtime=runtime,
        openvino=openvino,
        measured=kit.why if kit.ratio is not None else "",
        parameters=_openvino_parameters(runtime, instances, threads) if openvino else {},
        max_batch_size=MAX_BATCH_SIZE if batched else 1 if free else 0,
        preferred=_PREFERRED_BATCH_SIZES,
        queue_delay_us=_QUEUE_DELAY_US,
        instances=instances,
        threads=threads,
        input=_input(kit.contract),
        warmup_dims=_warmup_dims(kit.contract),
        outputs=tuple(_output(kit.contract, output) for output in kit.network.artifact.outputs),
        labelled=labelled(kit.contract),
        commands=commands,
        load_test=_load_test(kit.contract, name),
        example=kit.cases[-1].image_file,
    )
    files = {**kit.common_files(), **own}
    folder = f"{REPOSITORY}/{name}"
    files[f"{folder}/1/{kit.network.file}"] = files.pop(kit.network.file)
    for file in (kit.labels_file, "config.pbtxt"):
        if file is not None:
            files[f"{folder}/{file}"] = files.pop(file)
    files["client.py"] = files.pop("client.py.j2")  # called .py it would be taken for Python
    checks = importlib.resources.files("resnet_deploy.data").joinpath(_CHECKS)
    files[_CHECKS] = b"# SPDX-License-Identifier: Apache-2.0\n" + checks.read_bytes()
    return Rendered(
        files=files,
        commands=commands,
        notes=(
            "the first command needs Docker and NVIDIA's tritonserver image; put its release, "
            f"{OLDEST_RELEASE} or later, for YY.MM",
            *_left_behind(kit),
        ),
    )


def _openvino_parameters(runtime: Runtime, instances: int, threads: int) -> dict[str, str]:
    """Return the parameters of the OpenVINO backend, by name."""
    options = dict(runtime.options)
    return {
        "PERFORMANCE_HINT": "LATENCY" if instances == 1 else "THROUGHPUT",
        "NUM_STREAMS": str(instances),
        **{key: value for key, value in options.items() if key in _HINTS},
        "INFERENCE_NUM_THREADS": str(instances * threads),
        **({"HINT_BF16": "YES"} if options.get(_PRECISION) == "bf16" else {}),
        # OpenVINO gathers no batches of its own.
        "SKIP_OV_DYNAMIC_BATCHSIZE": "YES",
    }


def _left_behind(kit: Kit) -> tuple[str, ...]:
    """Return sentences on what ``tune`` found or measured, and the server can't be told."""
    runtime, finding = kit.runtimes[0], _finding(kit)
    options = dict(runtime.options)
    notes = []
    if runtime.kind is BundleRuntime.OPENVINO:
        if options.get(_PRECISION) == "bf16":
            del options[_PRECISION]
        else:
            notes.append(
                "Triton's OpenVINO backend can't be told to compute in float32: on a server whose "
                "CPU has bfloat16, float parts use that, and scores may differ by "
                f"{kit.network.tolerances[0]:g} of the largest"
            )
        options = {key: value for key, value in options.items() if key not in _HINTS}
        if finding is not None and finding.batch_size > 1:
            notes.append(
                f"tune found batches of {finding.batch_size} fastest; Triton's OpenVINO backend "
                "takes one batch size only, and here one picture a request"
            )
    elif not runtime.spin:
        options["session.intra_op.allow_spinning"] = "0"
    if options:
        listed = " and ".join(f"{key}={value}" for key, value in sorted(options.items()))
        notes.append(
            f"tune found {listed} fastest; Triton's {runtime.title} backend has no parameter for "
            "it, and the server runs without"
        )
    return tuple(notes)


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

    In a top-K net's outputs and in arrays the place of a value is not a class.
    """
    by_class = contract.has_classes and contract.output_kind is not OutputKind.TOP_K
    return by_class and contract.batch in (None, 1)


def _instances_and_threads(kit: Kit) -> tuple[int, int]:
    """Return how many instances, and threads of each: as ``tune`` measured, where it did."""
    finding = _finding(kit)
    return (_INSTANCES, _THREADS) if finding is None else (finding.instances, finding.threads)


def _finding(kit: Kit) -> Finding | None:
    """Return what ``tune`` found of the file on the runtime of the bundle; None: nothing."""
    finding = finding_of(kit.network.artifact)
    is_of = finding is not None and finding.runner == kit.runtimes[0].kind.value
    return finding if is_of else None


def _input(contract: Contract) -> Tensor:
    dims = _whole(contract, contract.input_shape or (-1, -1, contract.preprocess.channels))
    return Tensor(name=contract.input_name, data_type=_DATA_TYPES[contract.input_dtype], dims=dims)


def _warmup_dims(contract: Contract) -> tuple[int, ...]:
    spec = contract.preprocess
    return _whole(contract, contract.input_shape or (*spec.resize, spec.channels))


def _load_test(contract: Contract, name: str) -> Written:
    """Return the command that measures the server; it must be told sizes that are not fixed."""
    command = ["perf_analyzer", "-m", name, "--concurrency-range", "1:16"]
    if contract.preprocess.resize_in_graph:
        sizes = ",".join(map(str, _warmup_dims(contract)))
        command += ["--shape", f"{contract.input_name}:{sizes}"]
    return Written(shell_line(command))


def _output(contract: Contract, tensor: TensorSpec) -> Tensor:
    dims = _whole(contract, tuple(-1 if size is None else size for size in tensor.shape[1:]))
    return Tensor(name=tensor.name, data_type=_DATA_TYPES[tensor.dtype], dims=dims)


def _whole(contract: Contract, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Triton adds the dimension of a batch itself, but not where its size is fixed."""
    return dims if contract.batch is None else (contract.batch, *dims)
