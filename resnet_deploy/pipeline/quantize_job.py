"""``quantize``: an fp32 ONNX file of any origin becomes a verified int8 one. No torch."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.onnx_file import check_replaceable
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.errors import SpecError
from resnet_deploy.pipeline.facts import int8_notices
from resnet_deploy.pipeline.maker import Maker, calibration_of, for_cpu
from resnet_deploy.pipeline.mixed import FloatLayers
from resnet_deploy.pipeline.source import fp32_source, with_input
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.inspection import inspect_int8
from resnet_deploy.reference import FileReference
from resnet_deploy.results import BudgetReport, Deployment, Environment
from resnet_deploy.spec import Budget, InputFormat, QuantSpec
from resnet_deploy.spec.export import ExportRequest
from resnet_deploy.spec.model_request import ModelRequest


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
    input_format: InputFormat | None = None,
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
        input_format: what ``out`` takes; None means what ``path`` does. Normalised floats can
            become bytes, not the other way round.
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
    source = fp32_source(path)
    if (sensitivity or budget is not None) and not source.output_kind.has_classes:
        raise SpecError(
            f"--sensitivity, --max-drop and --min-agreement compare classes, and {path} gives "
            f"{source.output_kind.value}: quantize without them, or export with --output logits"
        )
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
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        fp32 = with_input(source, input_format, Path(folder))
        images = calibration_of(request, input_preprocess(fp32))
        layers = FloatLayers(
            fp32.path,
            images,
            data,
            spec,
            sensitivity=sensitivity,
            budget=budget,
            threads=threads,
            progress=progress,
        )
        maker = Maker(
            request=request,
            staging=Path(folder),
            reference=FileReference(path, runner="ort", threads=threads),
            calibration=images,
            environment=environment,
            progress=progress,
        )
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
