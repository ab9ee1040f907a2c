"""The JavaScript that node and web bundles share."""

from __future__ import annotations

from typing import Any

from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.kit import Kit
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.spec import InputContract


def core_files(kit: Kit, folder: str) -> dict[str, bytes]:
    """Return the shared modules by name, below ``folder`` of the bundle.

    Raises:
        UnsupportedGraphError: ONNX Runtime can't hand over a tensor of such a name.
    """
    _check_names(kit.contract)
    return kit.render_folder("javascript", under=f"{folder}/", described=_described(kit))


def _check_names(contract: Contract) -> None:
    """Refuse a name that an object of JavaScript, as which tensors come and go, has no room for."""
    for name in (contract.input_name, *contract.output_names):
        if name == "__proto__":
            raise UnsupportedGraphError(
                f"{contract.name}.onnx calls a tensor {name}, which ONNX Runtime loses in "
                "JavaScript: rename it in the file"
            )


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
        "threads": kit.runtimes[0].threads,
        "sessionConfig": _session_config(kit.runtimes[0]),
    }


def _session_config(runtime: Runtime) -> dict[str, str]:
    """Return the session options of ONNX Runtime that ``tune`` found, by name."""
    spin = {} if runtime.spin else {"session.intra_op.allow_spinning": "0"}
    return {**spin, **dict(runtime.options)}


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
