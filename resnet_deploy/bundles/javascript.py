"""The JavaScript that node and web bundles share, and the release of ONNX Runtime they run on."""

from __future__ import annotations

import re
from typing import Any, Final

from resnet_deploy.bundles.kit import Kit
from resnet_deploy.spec import InputContract

_RELEASES: Final = (
    "1.20.0",
    "1.20.1",
    "1.21.0",
    "1.21.1",
    "1.22.0",
    "1.23.0",
    "1.23.2",
    "1.24.1",
    "1.24.2",
    "1.24.3",
    "1.25.1",
    "1.26.0",
    "1.27.0",
    "1.29.0",
    "1.30.0",
)
"""What exists of both onnxruntime-node and onnxruntime-web; npm skips some of Python's releases."""


def core_files(kit: Kit, folder: str) -> dict[str, bytes]:
    """Return the shared modules by name, below ``folder`` of the bundle."""
    return kit.render_folder("javascript", under=f"{folder}/", described=_described(kit))


def npm_release(kit: Kit) -> str:
    """Return the newest npm release of ONNX Runtime that is not newer than the one used here."""
    tested = _numbers(kit.max_onnxruntime)
    older = (release for release in reversed(_RELEASES) if _numbers(release) <= tested)
    return next(older, _RELEASES[0])


def _numbers(version: str) -> tuple[int, ...]:
    """Major, minor and patch: what follows, such as ``.dev20260114``, does not count."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _described(kit: Kit) -> dict[str, Any]:
    """Return the contract as the type ``Contract`` in types.d.mts has it."""
    contract = kit.contract
    return {
        "name": contract.name,
        "networks": [
            {
                "file": network.file,
                "precision": network.artifact.precision,
                "sha256": network.sha256,
                "bytes": len(network.data),
                "tolerance": network.tolerances[0],
            }
            for network in kit.networks
        ],
        "labelsFile": kit.labels_file,
        "inputDtype": contract.input_dtype,
        "inputShape": contract.input_shape,
        "batch": contract.batch,
        "preprocess": described_input(contract.preprocess),
        "outputKind": contract.output_kind.value,
        "outputs": [
            {"name": output.name, "shape": output.shape, "every": output.every}
            for output in kit.outputs
        ],
        "numClasses": contract.num_classes,
        "k": contract.k,
        "minOnnxRuntime": kit.min_onnxruntime,
    }


def described_input(spec: InputContract) -> dict[str, Any]:
    """Return how a picture is prepared as the type ``Preprocess`` in types.d.mts has it."""
    return {
        "height": spec.height,
        "width": spec.width,
        "resize": spec.resize,
        "resizeMode": spec.resize_mode.value,
        "interpolation": spec.interpolation,
        "channelOrder": spec.channel_order.value,
        "range": spec.range,
        "mean": spec.mean,
        "std": spec.std,
        "format": spec.format.value,
        "resizeInGraph": spec.resize_in_graph,
        "assumed": spec.assumed,
    }
