"""``quantize``: an fp32 ONNX file of any origin becomes a verified int8 one. No torch."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from resnet_deploy import __version__
from resnet_deploy.artifact import Artifact, check_replaceable, load
from resnet_deploy.card import Card, WeightsSource
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.files import write_atomically
from resnet_deploy.models.request import ModelRequest
from resnet_deploy.pipeline.budget import Budget
from resnet_deploy.pipeline.facts import int8_notices
from resnet_deploy.pipeline.maker import MAKERS, Maker, calibration_of, for_cpu
from resnet_deploy.pipeline.mixed import FloatLayers
from resnet_deploy.pipeline.request import ExportRequest
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.inspect import inspect_int8
from resnet_deploy.reference import FileReference
from resnet_deploy.results import BudgetReport, Deployment, Environment
from resnet_deploy.runtime.cpu import versions
from resnet_deploy.spec import Family, ModelSpec, QuantSpec


def quantize_file(
    path: Path,
    out: Path,
    *,
    calibration: Path | None,
    spec: QuantSpec,
    environment: Environment,
    verify: bool = True,
    allow_float_ops: bool = True,
    force: bool = False,
    threads: int = 0,
    data: Path | None = None,
    sensitivity: bool = False,
    budget: Budget | None = None,
    progress: Progress = silent,
) -> Deployment:
    """Write the int8 file ``out`` of the fp32 file ``path``, checked against it. No torch.

    Args:
        path: the fp32 file.
        out: the int8 file.
        calibration: images that set the ranges; None means made-up pictures.
        spec: how to quantize.
        environment: where this runs.
        verify: compare ``out`` with ``path``; without, it is written as it comes.
        allow_float_ops: accept layers that ONNX Runtime leaves in float.
        force: replace a file that this tool did not write.
        threads: of ONNX Runtime; 0 means the physical cores allowed here.
        data: images on which accuracy is measured for the next two; None means other images of
            the calibration data.
        sensitivity: measure what each layer would gain and cost in float.
        budget: keep layers in float until this holds. The best file so far is always at ``out``,
            even when the budget is missed in the end.
        progress: told about every stage.

    Raises:
        ResnetDeployError: of every kind; nothing is written then, but with ``budget`` the best
            file so far.
    """
    start = time.perf_counter()
    spec = for_cpu(spec, environment)
    source = load(path)
    if source.quantized:
        raise UnsupportedGraphError(f"{path} is int8 already: give the fp32 file it came from")
    if out.resolve() == path.resolve():
        raise SpecError(f"{out} is the file to be quantized: choose another name with -o")
    check_replaceable(out, force=force)
    request = ExportRequest(
        model=ModelRequest(),
        calibration=calibration,
        quant=spec,
        verify=verify,
        allow_float_ops=allow_float_ops,
        seed=spec.seed,
        threads=threads,
    )
    images = calibration_of(request, input_preprocess(source))
    layers = FloatLayers(
        path,
        images,
        data,
        spec,
        sensitivity=sensitivity,
        budget=budget,
        threads=threads,
        progress=progress,
    )
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        maker = Maker(
            request=request,
            staging=Path(folder),
            reference=FileReference(path, runner="ort", threads=threads),
            calibration=images,
            environment=environment,
            progress=progress,
        )
        fp32 = replace(source, card=_card_of(source))
        net = maker.quantize(fp32)

        def keep(report: BudgetReport) -> None:
            best = maker.save_int8(fp32, net, out.name, report)
            if allow_float_ops or inspect_int8(best.path, maker.exclude(report)).passed:
                write_atomically(out, best.path.read_bytes())

        ranking, kept = layers.find(net, keep)
        artifact = maker.save_int8(fp32, net, out.name, kept)
        artifact, inspection = maker.check_int8(fp32, artifact, kept)
        # What was asked for with a budget is the best file there is, so that one is written.
        wanted = maker.sound if budget is None else inspection.passed or allow_float_ops
        if wanted:
            write_atomically(out, artifact.path.read_bytes())
    return Deployment(
        files={"int8": str(out)} if wanted else {},
        sha256={"int8": artifact.sha256} if wanted else {},
        parity=maker.parity,
        inspection=inspection,
        allowed_float_ops=allow_float_ops,
        notices=tuple(int8_notices(images, amx=maker.amx)),
        seconds=time.perf_counter() - start,
        environment=environment,
        sensitivity=ranking,
        budget=kept,
        verdict=maker.verdict,
    )


def _card_of(source: Artifact) -> Card:
    """Return the card of ``source``, or a first one for a foreign file."""
    if source.card is not None:
        return source.card
    classes = source.output.shape[-1]
    return Card(
        model=ModelSpec(
            family=Family.CUSTOM, num_classes=classes or 0, image_size=source.image_size
        ),
        preprocess=source.preprocess,
        weights=WeightsSource(kind="onnx", file=source.path.name, sha256=source.sha256),
        versions={"resnet-deploy": __version__, **versions(MAKERS[1:])},
    )
