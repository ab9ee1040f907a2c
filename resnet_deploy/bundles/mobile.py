"""The mobile bundle: Android by JNI, iOS by Objective-C++, both on the C++ core."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from resnet_deploy.bundles.golden import answers
from resnet_deploy.bundles.kit import MODEL_FILE, Kit, Rendered
from resnet_deploy.bundles.native import cpus, native_files
from resnet_deploy.bundles.ort_format import (
    MIN_ONNXRUNTIME,
    ORT_FORMAT_OPTIONS,
    to_ort_format,
)
from resnet_deploy.errors import RunnerError
from resnet_deploy.graph.releases import release_numbers
from resnet_deploy.results.closeness import apart

ORT_FILE: Final = "model.ort"
OPERATORS_FILE: Final = "required_operators_and_types.config"

COMMANDS: Final = (
    "cmake -S android -B build -DORT_ROOT=/path/of/onnxruntime",
    "cmake --build build",
    "ctest --test-dir build --verbose",
)

_NOTES: Final = (
    "/path/of/onnxruntime is an unpacked release of ONNX Runtime",
    "Not compiled for Android or iOS: that takes Google's and Apple's SDKs. The same sources pass "
    "their self-tests as a JNI library on a desktop, and for ARM64 under an emulator.",
)


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle.

    Raises:
        RunnerError: ONNX Runtime can't convert the model to its own format, or the converted one
            answers otherwise.
    """
    made = to_ort_format(kit.network.data)
    _check_answers(kit, made.model)
    models = (kit.network, replace(kit.network, file=ORT_FILE, data=made.model))
    own = kit.render_folder(
        "mobile",
        models=models,
        commands=COMMANDS,
        cpus=cpus(kit.network.artifact, kit.runtimes),
        model_file=MODEL_FILE,
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
    return Rendered(files=files, commands=COMMANDS, notes=_NOTES)


def _check_answers(kit: Kit, model: bytes) -> None:
    """Refuse a converted model whose scores differ from the recorded ones."""
    network = kit.network
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ORT_FILE
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
