"""``export``: a checkpoint becomes verified fp32 and int8 ONNX files."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from resnet_deploy import __version__
from resnet_deploy.artifact.card import Accuracy, Card, WeightsSource
from resnet_deploy.artifact.files import check_folder, write_together
from resnet_deploy.artifact.onnx_file import check_replaceable
from resnet_deploy.artifact.weights_card import WeightsCard
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.data.labels import imagenet_labels
from resnet_deploy.errors import SpecError
from resnet_deploy.models.channel_statistics import ChannelStatistics
from resnet_deploy.models.dependencies import require
from resnet_deploy.pipeline.facts import int8_notices
from resnet_deploy.pipeline.maker import MAKERS, Maker, calibration_of, for_cpu
from resnet_deploy.pipeline.resizing import check_resize, with_resize
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.static import check_as_trained
from resnet_deploy.reference import ModuleReference
from resnet_deploy.results import Deployment, Environment
from resnet_deploy.rewrites.bake_input import bake_input
from resnet_deploy.rewrites.opset import choose_opset
from resnet_deploy.rewrites.resize_front import RESIZE_OPSET, check_resizable
from resnet_deploy.runners.cpu import versions
from resnet_deploy.simplify import simplify
from resnet_deploy.spec import ModelSpec, OutputSpec, Preprocess
from resnet_deploy.spec.export import ExportRequest

if TYPE_CHECKING:
    from torch import nn

    from resnet_deploy.models.checkpoint import LoadedModel


def deploy(
    request: ExportRequest, environment: Environment, *, progress: Progress = silent
) -> Deployment:
    """Export, quantize and verify what ``request`` asks for; write the files if all checks hold.

    Raises:
        ResnetDeployError: of every kind; nothing is written then.
    """
    start = time.perf_counter()
    check_folder(request.out)
    request = replace(request, quant=for_cpu(request.quant, environment))
    opset = _opset(request)
    loaded = _load(request, progress)
    preprocess = _preprocess(request, loaded)
    if request.resize_in_graph:
        check_resizable(preprocess)
    name = request.name or loaded.spec.name
    paths = {"fp32": request.out / f"{name}.onnx"}
    if request.int8:
        paths["int8"] = request.out / f"{name}.int8.onnx"
    for path in paths.values():
        check_replaceable(path, force=request.force)
    calibration = calibration_of(request, preprocess)
    labels, label_notices = _labels(request, loaded.spec, loaded.source, loaded.labels, calibration)
    notices = [*loaded.notices, *label_notices]
    measured = _measured(request, loaded.card, preprocess)
    card = _card(request, loaded, preprocess, labels, measured)
    reference = ModuleReference(loaded.module, f"{loaded.spec.name} in PyTorch", request.output)
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        maker = Maker(
            request=request,
            staging=Path(folder),
            reference=reference,
            calibration=calibration,
            environment=environment,
            progress=progress,
            statistics=_statistics(request, loaded.module, loaded.source),
            trained=loaded.card.activation_ranges if loaded.card else {},
            int8_accuracy=_int8_measured(request, measured),
        )
        progress("exporting", 0, 1)
        graph, card = _export(request, loaded.module, card, opset, notices)
        graph = bake_input(graph, preprocess)
        progress("exporting", 1, 1)
        fp32 = maker.fp32(graph, card, paths["fp32"].name)
        made = {"fp32": fp32}
        inspection = None
        if request.int8 and maker.sound:
            made["int8"], inspection = maker.int8(fp32, paths["int8"].name)
        passed = maker.sound
        if passed and request.resize_in_graph:
            check = check_resize(preprocess, calibration)
            made = with_resize(made, check)
            notices.append(str(check))
        if passed:
            write_together({paths[kind]: one.path.read_bytes() for kind, one in made.items()})
    stale = request.out / f"{name}.int8.onnx"
    if not request.int8 and stale.exists():
        notices.append(f"{stale} is of an earlier export: delete it, or export without --no-int8")
    if request.int8:
        notices.extend(
            int8_notices(
                calibration,
                amx=maker.amx,
                data_free=maker.data_free,
                trained=bool(maker.trained),
            )
        )
    return Deployment(
        files={kind: str(paths[kind]) for kind in made} if passed else {},
        sha256={kind: one.sha256 for kind, one in made.items()} if passed else {},
        parity=maker.parity,
        inspection=inspection,
        allowed_float_ops=request.allow_float_ops,
        notices=tuple(notices),
        seconds=time.perf_counter() - start,
        environment=environment,
        verdict=maker.verdict,
    )


def _opset(request: ExportRequest) -> int:
    """Return the operator set of the files.

    Raises:
        SpecError: there is no such one, or it can't do what was asked for.
    """
    least = RESIZE_OPSET if request.resize_in_graph else None
    opset = choose_opset(request.opset or least, request.target_ort)
    if least is not None and opset < least:
        raise SpecError(
            f"--resize-in-graph needs opset {least}, which ONNX Runtime 1.14 is the first to read: "
            "use a later --opset or --target-ort"
        )
    return opset


def _load(request: ExportRequest, progress: Progress) -> LoadedModel:
    """Return the network, which gives what was asked for, with its weights."""
    require("torch", "exporting")
    require("onnxscript", "exporting")
    from resnet_deploy.models.checkpoint import resolve
    from resnet_deploy.models.outputs import shape_output

    progress("loading", 0, 1)
    loaded = resolve(request.model, request.weights, seed=request.seed, progress=progress)
    if request.int8 and loaded.card is not None and loaded.card.activation_ranges:
        check_as_trained(request.quant)
    shape_output(loaded.module, loaded.spec, request.output)
    progress("loading", 1, 1)
    return loaded


def _preprocess(request: ExportRequest, loaded: LoadedModel) -> Preprocess:
    """Return what was said of the preprocessing, over that of the training, or the usual."""
    size, known = loaded.spec.image_size, loaded.card
    usual = Preprocess.for_size(size) if known is None else known.preprocess_for(size)
    return replace(request.preprocess.over(usual), format=request.input)


def _measured(
    request: ExportRequest, known: WeightsCard | None, preprocess: Preprocess
) -> WeightsCard | None:
    """Return ``known`` if the accuracy in it is the files': same input and answer, and proven."""
    if known is None or not request.verify or request.resize_in_graph:
        return None
    same_input = replace(preprocess, format=known.preprocess.format) == known.preprocess
    same_answer = request.output.kind.has_classes and request.output.stride == OutputSpec().stride
    return known if same_input and same_answer else None


def _int8_measured(request: ExportRequest, measured: WeightsCard | None) -> tuple[Accuracy, ...]:
    """Return the accuracy of the int8 network of training, if the int8 file will be that one."""
    if measured is None or not measured.activation_ranges or request.quant.exclude:
        return ()
    return measured.int8_accuracy


def _card(
    request: ExportRequest,
    loaded: LoadedModel,
    preprocess: Preprocess,
    labels: tuple[str, ...],
    measured: WeightsCard | None,
) -> Card:
    return Card(
        model=loaded.spec,
        preprocess=preprocess,
        weights=loaded.source,
        output=request.output,
        labels=labels,
        accuracy=measured.accuracy if measured else (),
        licence=request.licence or (loaded.card.licence if loaded.card else ""),
        versions={"resnet-deploy": __version__, **versions(MAKERS)},
    )


def _labels(
    request: ExportRequest,
    spec: ModelSpec,
    source: WeightsSource,
    own: tuple[str, ...],
    calibration: CalibrationImages,
) -> tuple[tuple[str, ...], list[str]]:
    """Return the class names: given, the checkpoint's, ImageNet's, or the folder's."""
    if not request.output.kind.has_classes:
        if request.labels:
            raise SpecError(f"--output {request.output.name} has no classes to name: drop --labels")
        return (), []
    if request.labels:
        if len(request.labels) != spec.num_classes:
            raise SpecError(
                f"--labels names {len(request.labels)} classes, the model has {spec.num_classes}"
            )
        return request.labels, []
    if own:
        return own, []
    if source.kind == "imagenet":
        return imagenet_labels(), []
    classes = calibration.dataset.classes
    if source.kind == "file" and len(classes) == spec.num_classes:
        return classes, [
            f"class names are those of the calibration images, sorted: {', '.join(classes[:3])}, "
            "…; --labels FILE overrides them"
        ]
    return (), []


def _statistics(
    request: ExportRequest, module: nn.Module, source: WeightsSource
) -> dict[str, ChannelStatistics]:
    """Return what the BatchNorms of a trained net say about its activations, without images only.

    An untrained net's BatchNorms are made up.
    """
    if not request.int8 or request.calibration is not None or source.kind == "random":
        return {}
    from resnet_deploy.models.batchnorm_statistics import batchnorm_statistics

    return batchnorm_statistics(module)


def _export(
    request: ExportRequest, module: nn.Module, card: Card, opset: int, notices: list[str]
) -> tuple[onnx.ModelProto, Card]:
    from resnet_deploy.export import export_graph
    from resnet_deploy.models.fold import fold_batchnorm

    if request.fold:
        module, left = fold_batchnorm(module)
        notices.extend(f"not folded: {reason}" for reason in left)
        card = card.with_step("fold_batchnorm", {"not_folded": list(left)})
    graph = export_graph(
        module,
        image_size=card.model.image_size,
        opset=opset,
        batch_size=request.batch_size,
        output=request.output,
    )
    options = {"exporter": "dynamo", "opset": opset, "batch_size": request.batch_size}
    card = card.with_step("export", options)
    if request.simplify:
        graph, outcome = simplify(graph)
        card = card.with_step("simplify", {"outcome": outcome})
    return graph, card
