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
from resnet_deploy.pipeline.maker import MAKERS, Maker, calibration_of, for_cpu, int8_notices
from resnet_deploy.pipeline.request import ExportRequest
from resnet_deploy.progress import Progress, silent
from resnet_deploy.reference import FileReference
from resnet_deploy.results import Deployment, Environment
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
    progress: Progress = silent,
) -> Deployment:
    """Write the int8 file ``out`` of the fp32 file ``path``, checked against it. No torch.

    Raises:
        ResnetDeployError: of every kind; nothing is written then.
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
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        maker = Maker(
            request=request,
            staging=Path(folder),
            reference=FileReference(path, runner="ort", threads=threads),
            calibration=images,
            environment=environment,
            progress=progress,
        )
        artifact, inspection = maker.int8(replace(source, card=_card_of(source)), out.name)
        if maker.sound:
            write_atomically(out, artifact.path.read_bytes())
    return Deployment(
        files={"int8": str(out)} if maker.sound else {},
        sha256={"int8": artifact.sha256} if maker.sound else {},
        parity=maker.parity,
        inspection=inspection,
        allowed_float_ops=allow_float_ops,
        notices=tuple(int8_notices(images, amx=maker.amx)),
        seconds=time.perf_counter() - start,
        environment=environment,
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
