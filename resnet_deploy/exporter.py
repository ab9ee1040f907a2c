"""From a network to an fp32 artifact: plain layers as they are, all else by PyTorch's exporter."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace

import onnx
import onnx_ir as ir
import torch
from torch import nn

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.onnx_file import make
from resnet_deploy.collection import without_collection
from resnet_deploy.dependencies import INSTALL, require
from resnet_deploy.errors import ExportError, MissingDependencyError, SpecError, one_line
from resnet_deploy.graph.module_names import module_of
from resnet_deploy.graph.skeleton import infer_shapes
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.network import Network
from resnet_deploy.models.outputs import shaped, tensor_names
from resnet_deploy.models.tracing import ONE_AT_A_TIME
from resnet_deploy.passes import PassResult, counts_text, run_passes
from resnet_deploy.plain_layers import OPSET, plain_graph
from resnet_deploy.progress import Progress, phase, silent
from resnet_deploy.rewrites.bake_input import bake_input
from resnet_deploy.rewrites.opset import choose_opset, set_opset
from resnet_deploy.rewrites.output_head import output_head
from resnet_deploy.rewrites.resize_front import RESIZE_OPSET
from resnet_deploy.runners.cpu import MAKERS, versions
from resnet_deploy.simplify import simplify
from resnet_deploy.spec import OutputSpec
from resnet_deploy.spec.bounds import check_batch
from resnet_deploy.spec.deploy import ExportSpec
from resnet_deploy.version import __version__

logger = logging.getLogger(__name__)

LOGITS = OutputSpec()

_EXAMPLE_BATCH = 2
"""An example batch of 1 makes the exporter fix the batch size (pytorch #157621)."""


@without_collection()
def export_network(
    network: Network, spec: ExportSpec, *, name: str | None = None, progress: Progress = silent
) -> Artifact:
    """Return ``network`` as an fp32 ONNX file that is not saved yet; nothing is compared.

    ``name`` is the stem of the file, by default the network's own. Resizing in the graph is put in
    front later: see ``deployment.resizing``.

    Raises:
        SpecError: ``spec`` asks for what the network or the operator set has not.
        ExportError: the module can't become a correct ONNX file.
        MissingDependencyError: PyTorch's exporter is needed, and onnxscript is not installed.
    """
    opset = opset_of_export(spec)
    if spec.batch_size is not None:
        check_batch(spec.batch_size, network.spec.in_channels * network.spec.image_size**2)
    preprocess = replace(network.preprocess, format=spec.input)
    baked = (preprocess.baked_assumption,) if preprocess.baked_assumption else ()
    card = Card(
        model=network.spec,
        preprocess=preprocess,
        weights=network.source,
        output=spec.output,
        labels=network.labels if spec.output.kind.has_classes else (),
        licence=network.licence,
        assumed=(*network.assumed.values(), *baked),
        versions={"resnet-deploy": __version__, **versions(MAKERS)},
    )
    module = shaped(network, spec.output)
    left: tuple[str, ...] = ()
    if spec.fold:
        module, left = fold_batchnorm(module)
    graph = export_graph(
        module,
        image_size=network.spec.image_size,
        in_channels=network.spec.in_channels,
        opset=opset,
        batch_size=spec.batch_size,
        output=spec.output,
        progress=progress,
    )
    if spec.fold:
        # What has no convolution in front of it became one by a pass, or went into the next.
        kept = {
            module_of(node) for node in graph.graph.node if node.op_type == "BatchNormalization"
        }
        reasons = [reason for reason in left if reason.partition(":")[0] in kept]
        card = card.with_step("fold_batchnorm", {"not_folded": reasons})
    card = card.with_step("export", {"opset": opset, "batch_size": spec.batch_size})
    if spec.simplify:
        with phase(progress, "simplifying"):
            graph, outcome = simplify(graph)
        card = card.with_step("simplify", {"outcome": outcome})
    return make(bake_input(graph, preprocess), card, f"{name or network.spec.name}.onnx")


def opset_of_export(spec: ExportSpec) -> int:
    """Return the operator set of the files that ``spec`` asks for.

    Raises:
        SpecError: there is no such one, or it can't do what is asked for.
    """
    least = RESIZE_OPSET if spec.resize_in_graph else None
    opset = choose_opset(spec.opset or least, spec.target_ort)
    if least is not None and opset < least:
        raise SpecError(
            f"--resize-in-graph needs opset {least}, which ONNX Runtime 1.14 is the first to read: "
            "use a later --opset or --target-ort"
        )
    return opset


def export_graph(
    module: nn.Module,
    *,
    image_size: int,
    in_channels: int = 3,
    opset: int,
    batch_size: int | None = None,
    output: OutputSpec = LOGITS,
    progress: Progress = silent,
) -> onnx.ModelProto:
    """Return the ONNX graph of ``module``, cleaned by the default passes.

    Args:
        module: in eval mode; takes ``(N, in_channels, image_size, image_size)`` float32 and
            returns ``(N, classes)``, or what ``models.outputs.shape_output`` made of it. Fold
            BatchNorm first: see ``models.fold``.
        image_size: height and width of the input in pixels.
        in_channels: of the input.
        opset: of the result.
        batch_size: fixed first dimension; None keeps it dynamic.
        output: names the graph's outputs; softmax and top-K are put behind the logits here.
        progress: told about tracing and cleaning.

    Every node carries the path of its torch module. Weights are inside the graph.

    Raises:
        ExportError: the module can't be traced, or fixes the batch size itself.
        MissingDependencyError: PyTorch's exporter is needed, and onnxscript is not installed.
    """
    names = tensor_names(module, output)
    with phase(progress, "tracing"):
        model = plain_graph(module, names, image_size=image_size, in_channels=in_channels)
        if model is None:
            example = torch.zeros(_EXAMPLE_BATCH, in_channels, image_size, image_size)
            model = _trace(module, example, names).model
    with phase(progress, "cleaning the graph"):
        results = run_passes(model)
    results["output_head"] = PassResult(output_head(model, output))
    logger.info("graph passes: %s", counts_text(results))
    try:
        proto = set_opset(ir.to_proto(model), opset)
    except ExportError as error:
        raise ExportError(
            f"{error}: use a newer --opset, or a --target-ort that reads it"
        ) from error
    _set_batch(proto, batch_size)
    _strip(proto)
    return proto


def _trace(
    module: nn.Module, example: torch.Tensor, names: tuple[str, ...]
) -> torch.onnx.ONNXProgram:
    require("onnxscript", "exporting")
    batch = torch.export.Dim("batch")
    with ONE_AT_A_TIME, _quiet_exporter():
        try:
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                optimize=True,
                opset_version=OPSET,  # the lowest that it writes without converting
                dynamic_shapes=({0: batch},),
                input_names=["input"],
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
    first = str(cause).strip().partition("\n")[0]
    return f"torch can't trace the module: {one_line(first or cause)}"


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
    infer_shapes(model, strict=True)


def _strip(model: onnx.ModelProto) -> None:
    """Drop what differs from machine to machine or says nothing."""
    model.graph.name = "resnet_deploy"
    model.producer_name = "resnet-deploy"
    model.producer_version = ""
    del model.metadata_props[:]
    del model.functions[:]
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
