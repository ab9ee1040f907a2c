"""Table 1 of the paper for any of its nets, and the same table for an ONNX file.

Both come down to a list of layers, in the order in which they run: read by hooks from a
module on PyTorch's meta device (no weights, no arithmetic), or from an ONNX graph with inferred
shapes, without importing torch.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import onnx
import onnx_ir as ir

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import bytes_of, parse_model, read_model
from resnet_deploy.artifact.onnx_file import opened_file
from resnet_deploy.dependencies import require
from resnet_deploy.errors import ArtifactError
from resnet_deploy.graph.constants import ints
from resnet_deploy.graph.module_names import module_of, torch_module
from resnet_deploy.graph.releases import min_onnxruntime
from resnet_deploy.graph.skeleton import skeleton
from resnet_deploy.models.layers import Layer, conv_text, layers_of_module, pool_text
from resnet_deploy.results import ModelSummary, Stage
from resnet_deploy.rewrites.static_shapes import with_shapes
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import Family, ModelSpec, OutputSpec, SessionSpec, Stem

logger = logging.getLogger(__name__)

PAPER_FLOPS = {18: 1.8e9, 34: 3.6e9, 50: 3.8e9, 101: 7.6e9, 152: 11.3e9}
"""Table 1 of the paper: multiply-adds at 224x224, by depth."""

PAPER_FLOPS_VGG19 = 19.6e9
"""Caption of Fig. 3."""

_QDQ = ("QuantizeLinear", "DequantizeLinear")
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
"""Operators that convolve, and which of their inputs is the weight."""
_TRANSPOSED = "ConvTranspose"
_MATRIX_PRODUCTS = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul")
_WEIGHT_INPUTS = {
    "QLinearConv": (3, 8),
    "QLinearMatMul": (3,),
    "BatchNormalization": (1, 2),
    "Clip": (),
    "Resize": (),
    "Pad": (),
}
"""Which inputs are parameters, where not all are that are stored in the file."""

_VGG_STAGES = (4, 9, 18, 27, 36)
"""Index in VGG-19's ``features`` of the max-pool that ends each stage."""


def summarize_spec(spec: ModelSpec) -> ModelSummary:
    """Return Table 1 for the network of ``spec``.

    Parameters are counted as torch does; multiply-accumulates are those of convolutions and
    linear layers, for one image.

    Raises:
        SpecError: the spec has no module.
        MissingDependencyError: torch is not installed.
    """
    require("torch", "building the network")
    from resnet_deploy.models.registry import build_custom, skeleton

    if spec.family is Family.CUSTOM:
        module, spec = build_custom(spec)
    else:
        module = skeleton(spec, device="meta")
    return ModelSummary(
        name=spec.name,
        stages=_stages(layers_of_module(module, spec.image_size, spec.in_channels), spec.family),
        paper_flops=_paper_flops(spec),
    )


def summarize_artifact(given: Path | Artifact) -> ModelSummary:
    """Return Table 1 for an ONNX file, with its precision, opset, size, operators and card.

    Stages follow the torch modules that the nodes or weights name; a file without such names gets
    one row per kind of operator. Parameters are the weights as stored: after folding a BatchNorm
    counts as one bias per channel, and int8 weights count like float ones.

    Layers whose output has no known shape are named in a warning: their multiply-accumulates don't
    count.

    Raises:
        ArtifactError: the file can't be read.
        UnsupportedGraphError: its shapes can't be inferred.
        RunnerError: its operators and weights don't fit, and ONNX Runtime refuses them.
    """
    artifact = opened_file(given)
    model = read_model(artifact.plain)
    card = artifact.card
    _check_fits(model, artifact)
    named = any(torch_module(node) for node in model.graph.node)
    layers = _layers_of_graph(model, artifact, named=named)
    if named:
        stages = _stages(layers, card.model.family if card else Family.CUSTOM)
    else:
        stages = _rows_by_operator(layers)
    return ModelSummary(
        name=artifact.path.name,
        stages=stages,
        paper_flops=_paper_flops(card.model, card.output) if card else None,
        precision=artifact.precision,
        opset=artifact.opset,
        file_bytes=bytes_of(artifact.path),
        op_counts=dict(Counter(node.op_type for node in model.graph.node).most_common()),
        input=str(artifact.input),
        outputs=tuple(str(tensor) for tensor in artifact.outputs),
        min_onnxruntime=min_onnxruntime(model if card else parse_model(artifact.path)),
        card=json.loads(card.to_json()) if card else None,
    )


def _check_fits(model: onnx.ModelProto, artifact: Artifact) -> None:
    """Refuse a damaged graph as the verbs do that run it; inference alone is too strict.

    Raises:
        RunnerError: ONNX Runtime refuses it as well.
    """
    try:
        onnx.shape_inference.infer_shapes(skeleton(model), check_type=True, strict_mode=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        open_session(artifact.plain, SessionSpec(spin=False))


def _paper_flops(spec: ModelSpec, output: OutputSpec | None = None) -> float | None:
    """Return the paper's figure where it gives one: whole ImageNet nets on 224 pixels."""
    if spec.image_size != 224 or spec.stem is not Stem.IMAGENET:
        return None
    if output is not None and (output.stride != 32 or not output.kind.has_classes):
        return None
    if spec.family is Family.VGG:
        return PAPER_FLOPS_VGG19
    return PAPER_FLOPS.get(spec.depth) if spec.family is Family.IMAGENET else None


def _stages(layers: Iterable[Layer], family: Family) -> tuple[Stage, ...]:
    """Group layers, in order of first use, into the rows of Table 1."""
    rows = _grouped(layers, lambda layer: _stage_name(layer.path, family))
    return tuple(_stage(name, row) for name, row in rows.items())


def _stage(name: str, layers: list[Layer]) -> Stage:
    # Projection shortcuts are counted, but Table 1 shows the main path alone.
    main = [layer for layer in layers if ".downsample." not in layer.path] or layers
    return Stage(
        name=name,
        output_size="x".join(map(str, main[-1].size)) or "1x1",
        layers=_layers_text(main),
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(layer.macs for layer in layers),
    )


def _stage_name(path: str, family: Family) -> str:
    """Return the paper's name for the stage of a module path such as ``layer1.0.conv2``."""
    top = path.split(".", 1)[0]
    if family in (Family.IMAGENET, Family.CIFAR, Family.RESIDUAL):
        if stage := re.fullmatch(r"layer(\d{1,9})", top, re.ASCII):
            return f"conv{int(stage[1]) + 1}_x"
        # The max-pool is the first line of conv2_x, the average pool of the last row.
        return {"bn1": "conv1", "maxpool": "conv2_x", "avgpool": "fc", "norm": "fc"}.get(top, top)
    if family is Family.VGG:
        if top != "features":
            return "fc"
        if place := re.match(r"features\.(\d{1,9})(?!\d)", path, re.ASCII):
            return f"conv{sum(end < int(place[1]) for end in _VGG_STAGES) + 1}_x"
    return top  # a stranger's name for it


def _layers_text(layers: Iterable[Layer]) -> str:
    """Return ``3x3 max pool, stride 2; [3x3, 64; 3x3, 64] x 3``: equal blocks are written once."""
    blocks: list[tuple[str, ...]] = []
    shown = (layer for layer in layers if layer.text)
    for _, block in groupby(shown, key=lambda layer: _block_of(layer.path)):
        texts = tuple(layer.text for layer in block)
        # Table 1 doesn't write the stride with which a stage begins; it shows in the size.
        blocks.append(tuple(t.split(", stride")[0] for t in texts) if len(texts) > 1 else texts)
    parts = []
    for texts, same in groupby(blocks):
        text, count = "; ".join(texts), len(list(same))
        text = f"[{text}]" if count > 1 or len(texts) > 1 else text
        parts.append(f"{text} x {count}" if count > 1 else text)
    return "; ".join(parts)


def _block_of(path: str) -> str:
    """``layer1.0.conv2`` -> ``layer1.0``; a layer outside any block stands alone."""
    return path.rpartition(".")[0] if path.count(".") >= 2 else path


def _layers_of_graph(model: onnx.ModelProto, artifact: Artifact, *, named: bool) -> list[Layer]:
    layers = []
    owned: set[ir.Value | None] = set()
    unknown: list[str] = []
    for node in ir.from_proto(with_shapes(model, artifact)).graph:
        if node.op_type in _QDQ or node.op_type == "Constant":
            continue
        if node.op_type in _CONVOLUTIONS:
            _check_channels(node, artifact.path)
        if _multiplies(node) and not _node_macs(node):
            unknown.append(str(node.name or node.outputs[0].name))
        indices = _WEIGHT_INPUTS.get(node.op_type, range(len(node.inputs)))
        inputs = {node.inputs[i] for i in indices if i < len(node.inputs)}
        own = {value for value in inputs - owned if _stored(value) is not None}
        owned |= own
        text = _node_text(node)
        if own or text:
            layers.append(
                Layer(
                    path=module_of(node) if named else node.op_type,
                    text=text,
                    size=_dims(node.outputs[0])[2:],
                    parameters=sum(math.prod(_dims(value)) for value in own),
                    macs=_node_macs(node),
                )
            )
    if unknown:
        logger.warning(
            "%s: the shapes of %d layers can't be inferred, from %s on: their multiply-accumulates "
            "are not counted",
            artifact.path,
            len(unknown),
            unknown[0],
        )
    return layers


def _check_channels(node: ir.Node, path: Path) -> None:
    """Refuse a convolution of other channels than it gets: ONNX Runtime sees that when it runs.

    Raises:
        ArtifactError: the file is damaged.
    """
    image, weight = _dims(node.inputs[0]), _dims(node.inputs[_CONVOLUTIONS[node.op_type]])
    groups = node.attributes.get_int("group", 1)
    if len(image) > 1 and len(weight) > 1 and image[1] and image[1] != weight[1] * groups:
        raise ArtifactError(
            f"{path} is damaged: its {node.op_type} node {node.name or node.outputs[0].name!r} "
            f"takes {weight[1]} x {groups} channels and gets {image[1]}"
        )


def _multiplies(node: ir.Node) -> bool:
    return node.op_type in (*_CONVOLUTIONS, _TRANSPOSED, *_MATRIX_PRODUCTS)


def _stored(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the weight that ``value`` is, or None where the file does not store it."""
    # int8 weights and int32 biases sit behind a DequantizeLinear of the same shape.
    while value is not None and (node := value.producer()) is not None and node.op_type in _QDQ:
        value = node.inputs[0]
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    # Shapes, axes and paddings are integers too, but int64; weights and biases are not.
    return None if tensor is None or tensor.dtype is ir.DataType.INT64 else tensor


def _dims(value: ir.Value | None) -> tuple[int, ...]:
    """Return the shape of ``value``, 0 for a size that is not known; empty where nothing is."""
    stored = _stored(value)
    shape = stored.shape if stored is not None else None if value is None else value.shape
    return tuple(size if isinstance(size, int) else 0 for size in shape or ())


def _node_macs(node: ir.Node) -> int:
    output = math.prod(_dims(node.outputs[0]) or (0,))
    if node.op_type in _CONVOLUTIONS:
        weight = _dims(node.inputs[_CONVOLUTIONS[node.op_type]]) or (0, 0)
        return output * math.prod(weight[1:])
    if node.op_type == _TRANSPOSED:  # each value of its input goes through a kernel per output
        weight = _dims(node.inputs[1]) or (0, 0)
        return math.prod(_dims(node.inputs[0]) or (0,)) * math.prod(weight[1:])
    if node.op_type in _MATRIX_PRODUCTS:
        left = _dims(node.inputs[0]) or (0,)
        return output * left[0 if node.attributes.get_int("transA", 0) else -1]
    return 0


def _node_text(node: ir.Node) -> str:
    strides = ints(node, "strides", (1, 1))
    if node.op_type in _CONVOLUTIONS:
        weight = _dims(node.inputs[_CONVOLUTIONS[node.op_type]])
        groups = node.attributes.get_int("group", 1)
        return conv_text(weight[2:], weight[0], strides, groups) if weight else node.op_type
    if node.op_type == _TRANSPOSED:
        weight, groups = _dims(node.inputs[1]), node.attributes.get_int("group", 1)
        text = conv_text(weight[2:], weight[1] * groups, strides, groups) if weight else ""
        return f"transposed {text}".rstrip()
    if node.op_type in _MATRIX_PRODUCTS:
        return f"{(_dims(node.outputs[0]) or ('?',))[-1]}-d fc"
    if node.op_type == "MaxPool":
        return pool_text(ints(node, "kernel_shape", ()), strides)
    return "average pool" if node.op_type == "GlobalAveragePool" else ""


def _rows_by_operator(layers: Iterable[Layer]) -> tuple[Stage, ...]:
    """Return one row per kind of operator, for graphs that don't name their modules."""
    return tuple(
        Stage(
            name=kind,
            output_size="",
            layers=f"{len(of_kind)} node{'s' if len(of_kind) > 1 else ''}",
            parameters=sum(layer.parameters for layer in of_kind),
            macs=sum(layer.macs for layer in of_kind),
        )
        for kind, of_kind in _grouped(layers, lambda layer: layer.path).items()
    )


def _grouped(layers: Iterable[Layer], key: Callable[[Layer], str]) -> dict[str, list[Layer]]:
    """Return the layers by ``key``, in order of first use."""
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(key(layer), []).append(layer)
    return groups
