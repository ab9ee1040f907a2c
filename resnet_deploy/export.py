"""From a PyTorch module to an ONNX graph, through ``torch.onnx.export(dynamo=True)``."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import onnx
import onnx_ir as ir
import torch
from torch import nn

from resnet_deploy.errors import ExportError, MissingDependencyError
from resnet_deploy.models.dependencies import INSTALL
from resnet_deploy.models.outputs import tensor_names
from resnet_deploy.passes import run_passes
from resnet_deploy.rewrites.opset import set_opset
from resnet_deploy.rewrites.output_head import output_head
from resnet_deploy.spec import OutputSpec

logger = logging.getLogger(__name__)

INPUT_NAME = "input"
LOGITS = OutputSpec()

_EXAMPLE_BATCH = 2
"""An example batch of 1 makes the exporter fix the batch size (pytorch #157621)."""

_NATIVE_OPSET = 18
"""The lowest opset that torch's exporter writes without converting."""


def export_graph(
    module: nn.Module,
    *,
    image_size: int,
    opset: int,
    batch_size: int | None = None,
    output: OutputSpec = LOGITS,
) -> onnx.ModelProto:
    """Return the ONNX graph of ``module``, cleaned by the default passes.

    Args:
        module: in eval mode; takes ``(N, 3, image_size, image_size)`` float32 and returns
            ``(N, classes)``, or what ``models.outputs.shape_output`` made of it. Fold BatchNorm
            first: see ``models.fold``.
        image_size: height and width of the input in pixels.
        opset: of the result.
        batch_size: fixed first dimension; None keeps it dynamic.
        output: names the graph's outputs; softmax and top-K are put behind the logits here.

    Every node carries the path of its torch module. Weights are inside the graph.

    Raises:
        ExportError: the module can't be traced, fixes the batch size itself, or keeps an operator
            that this tool refuses to ship (BatchNormalization).
        MissingDependencyError: onnxscript is not installed.
    """
    example = torch.zeros(_EXAMPLE_BATCH, 3, image_size, image_size)
    program = _trace(module, example, tensor_names(module, output))
    model = program.model
    counts = run_passes(model)
    counts["output_head"] = output_head(model, output)
    logger.info("graph passes: %s", ", ".join(f"{name} {n}" for name, n in counts.items() if n))
    proto = set_opset(ir.to_proto(model), opset)
    _set_batch(proto, batch_size)
    _strip(proto)
    left = [node.name for node in proto.graph.node if node.op_type == "BatchNormalization"]
    if left:
        raise ExportError(
            f"BatchNormalization {left[0]} has no convolution of its own in front of it and can't "
            "be folded: it would run in float; rewrite that layer in PyTorch"
        )
    return proto


def _trace(
    module: nn.Module, example: torch.Tensor, names: tuple[str, ...]
) -> torch.onnx.ONNXProgram:
    batch = torch.export.Dim("batch")
    with _quiet_exporter():
        try:
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                optimize=True,
                opset_version=_NATIVE_OPSET,
                dynamic_shapes=({0: batch},),
                input_names=[INPUT_NAME],
                output_names=names,
                verbose=False,
            )
        except ImportError as error:
            raise MissingDependencyError(f"export needs {error.name}: {INSTALL}") from error
        except Exception as error:  # the exporter raises many kinds, with pages of text
            raise ExportError(_reason(error)) from error
    assert program is not None, "dynamo=True returns a program"
    return program


def _reason(error: BaseException) -> str:
    """Return one line for what the exporter says on many."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    first = lines[0] if lines else type(cause).__name__
    return f"torch can't trace the module: {first[:300]}"


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hold back what the exporter says about itself: torchvision operators, deprecations, dumps.

    What matters to a user is in its exceptions.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _set_batch(model: onnx.ModelProto, batch_size: int | None) -> None:
    """Name the dynamic batch dimension, or fix it; inner shapes are inferred anew."""
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        if first.HasField("dim_value"):
            raise ExportError(
                f"the module fixes the batch size to {first.dim_value} (a view or reshape with a "
                "constant first dimension?): use torch.flatten(x, 1) or x.reshape(x.size(0), -1)"
            )
        if batch_size is None:
            first.dim_param = "batch"
        else:
            first.dim_value = batch_size
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    model.graph.value_info.extend(inferred.graph.value_info)


def _strip(model: onnx.ModelProto) -> None:
    """Drop what differs from machine to machine or says nothing."""
    model.graph.name = "resnet_deploy"
    model.doc_string = ""
    model.graph.doc_string = ""
    model.producer_name = "resnet-deploy"
    model.producer_version = ""
    del model.metadata_props[:]
    del model.functions[:]
    for node in model.graph.node:
        node.doc_string = ""
