"""The mobile bundle: Android by JNI, iOS by Objective-C++, both on the C++ core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.bundles.golden import answers
from resnet_deploy.bundles.kit import MODEL_FILE, Kit, Network, Rendered
from resnet_deploy.bundles.native import KINDS, cpus, native_files
from resnet_deploy.bundles.ort_format import (
    MIN_ONNXRUNTIME,
    ORT_FORMAT_OPTIONS,
    to_ort_format,
)
from resnet_deploy.bundles.rendering import Written
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.bundles.xnnpack import xnnpack_share
from resnet_deploy.errors import RunnerError
from resnet_deploy.graph.releases import release_numbers
from resnet_deploy.results.closeness import apart
from resnet_deploy.spec import BundleRuntime

ORT_FILE: Final = "model.ort"
OPERATORS_FILE: Final = "required_operators_and_types.config"

_NOTES: Final = (
    "/path/of/onnxruntime is an unpacked release of ONNX Runtime",
    "Not run on a phone, nor compiled with Google's NDK and Apple's SDK: clang compiles the same "
    "sources for both without them, and they pass their self-tests as a JNI library on a desktop "
    "and for ARM64 under an emulator.",
)


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle.

    Raises:
        RunnerError: ONNX Runtime can't convert the model to its own format, or the converted one
            answers otherwise.
    """
    commands = _commands(kit.runtimes)
    made = to_ort_format(kit.network.data)
    _check_answers(kit, made.model)
    models = (kit.network, _in_ort_format(kit.network, made.model))
    own = kit.render_folder(
        "mobile",
        models=models,
        words=KINDS,
        commands=commands,
        xnnpack=xnnpack_share(read_model(kit.network.artifact.plain)),
        cpus=cpus(kit.network.artifact, kit.runtimes),
        model_file=MODEL_FILE,
        model_size=_megabytes(kit.network.data),
        ort_size=_megabytes(made.model),
        ort_file=ORT_FILE,
        operators_file=OPERATORS_FILE,
        ort_min_onnxruntime=max(kit.min_onnxruntime, MIN_ONNXRUNTIME, key=release_numbers),
    )
    files = {
        **kit.common_files(),
        **native_files(kit, models, folder="core/"),
        ORT_FILE: made.model,
        OPERATORS_FILE: made.operators,
        **own,
    }
    return Rendered(files=files, commands=commands, notes=_NOTES)


def _megabytes(data: bytes) -> Written:
    return Written(f"{len(data) / 1e6:.1f} MB")


def _commands(runtimes: Sequence[Runtime]) -> tuple[Written, ...]:
    first = "cmake -S android -B build -DORT_ROOT=/path/of/onnxruntime"
    if any(runtime.kind is BundleRuntime.OPENVINO for runtime in runtimes):
        first += " -DOPENVINO_ROOT=/path/of/openvino"
    commands = (first, "cmake --build build", "ctest --test-dir build --verbose")
    return tuple(map(Written, commands))


def _in_ort_format(network: Network, data: bytes) -> Network:
    """Return ``network`` in the format that the first of its runtimes alone reads."""
    return replace(
        network,
        file=ORT_FILE,
        data=data,
        runtimes=network.runtimes[:1],
        answers=network.answers[:1],
        tolerances=network.tolerances[:1],
    )


def _check_answers(kit: Kit, model: bytes) -> None:
    """Refuse a converted model whose scores differ from the recorded ones."""
    network = kit.network
    with scratch_folder() as folder:
        path = folder / ORT_FILE
        path.write_bytes(model)
        found = answers(replace(network.artifact, path=path), kit.cases, ORT_FORMAT_OPTIONS)
    for case, answer, recorded in zip(kit.cases, found, network.answers[0], strict=True):
        for ours, theirs in zip(answer.outputs, recorded.outputs, strict=True):
            difference = float(abs(ours - theirs).max())
            limit = network.tolerances[0] * float(abs(theirs).max())
            if not difference <= limit:
                off, allowed = apart(difference, limit, "2g")
                raise RunnerError(
                    f"{network.artifact.path} gives other scores in ONNX Runtime's own format: "
                    f"{case.name} is off by {off} where {allowed} is allowed; use another release "
                    "of onnxruntime"
                )
