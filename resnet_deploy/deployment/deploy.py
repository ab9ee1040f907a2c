"""``deploy``: a network or an fp32 file becomes verified ONNX files, or none at all.

Files reach the output folder, whole and both, only when all checks have passed.
"""

from __future__ import annotations

import time
from dataclasses import replace

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.files import write_together
from resnet_deploy.data.datasets import Data
from resnet_deploy.deployment.hearing import Heard, hear
from resnet_deploy.deployment.making import (
    Begun,
    Made,
    begin_int8,
    make_fp32,
    make_half,
    make_int8,
    prove_fp32,
)
from resnet_deploy.deployment.plan import Plan, make_plan
from resnet_deploy.deployment.resizing import check_resize, with_resize
from resnet_deploy.deployment.source import check_source
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.models.network import Network
from resnet_deploy.processes.beside import beside
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import Deployment, Environment
from resnet_deploy.spec.deploy import DeploySpec


def deploy(
    source: Network | Artifact,
    spec: DeploySpec,
    *,
    calibration: Data | None = None,
    data: Data | None = None,
    environment: Environment,
    progress: Progress = silent,
) -> Deployment:
    """Export, quantize and verify ``source``; write the files if all checks hold.

    Args:
        source: a network, of which an fp32 file is made first, or an fp32 file.
        spec: what is asked for.
        calibration: images that set the int8 ranges; None means synthetic ones.
        data: images on which a ranking or a budget is measured; None means other images of
            ``calibration``.
        environment: where this runs.
        progress: told about every stage.

    Raises:
        ResnetDeployError: of every kind; nothing is written then, but with a budget the best file
            so far.
    """
    begin = time.perf_counter()
    if isinstance(source, Artifact):
        check_source(source)
    heard = Heard(source=source)
    if spec.witness:
        heard = hear(source, calibration, seed=spec.quant.seed, progress=progress)
    if heard.contradicted:
        return _contradicted(heard, spec, environment, time.perf_counter() - begin)
    plan = make_plan(heard, spec, calibration=calibration, data=data, environment=environment)
    fp32, begun = _proven(plan, progress)
    int8 = None if begun is None else make_int8(fp32.artifact, begun, plan, progress)
    half = make_half(fp32.artifact, plan, progress) if spec.half and fp32.wanted else None
    small = int8 or half
    notices = [*plan.notices, *fp32.notices, *(small.notices if small else ())]
    made: dict[str, Made] = {"fp32": fp32} if "fp32" in plan.paths else {}
    made |= {"int8": int8} if int8 is not None else {}
    made |= {"fp16": half} if half is not None else {}
    artifacts = {kind: file.artifact for kind, file in made.items()}
    wanted = all(file.wanted for file in made.values())
    if wanted and spec.export.resize_in_graph:
        artifacts, notice = _resized(artifacts, plan)
        notices.append(notice)
    written = artifacts if wanted else {}
    kept_fp32 = wanted and int8 is not None and not int8.worth_writing
    if kept_fp32:
        written = {kind: file for kind, file in written.items() if kind != "int8"}
    write_together({plan.paths[kind]: file.path.read_bytes() for kind, file in written.items()})
    return Deployment(
        files={kind: str(plan.paths[kind]) for kind in written},
        sha256={kind: file.sha256 for kind, file in written.items()},
        parity={kind: file.parity for kind, file in made.items() if file.parity is not None},
        inspection=None if int8 is None else int8.inspection,
        allowed_float_ops=spec.allow_float_ops,
        notices=tuple(notices),
        seconds=time.perf_counter() - begin,
        environment=environment,
        sensitivity=None if int8 is None else int8.sensitivity,
        budget=None if int8 is None else int8.budget,
        verdict=None if int8 is None else int8.verdict,
        kept_fp32=kept_fp32,
        preprocess=replace(plan.images.preprocess, resize_in_graph=spec.export.resize_in_graph),
        witness=heard.report,
    )


def _proven(plan: Plan, progress: Progress) -> tuple[Made, Begun | None]:
    """Return the fp32 file, compared with PyTorch, and what an int8 file is made of if it holds.

    Both take about as long, and neither keeps all cores busy: they run side by side.
    """
    made = make_fp32(plan, progress)
    if not plan.spec.int8:
        return prove_fp32(made, plan, progress), None
    with beside(lambda told: prove_fp32(made, plan, told), progress) as proof:
        try:
            begun = begin_int8(made.artifact, plan, progress)
        except ResnetDeployError:
            # What is wrong with the fp32 file says more than what it does to int8.
            if (fp32 := proof()).wanted:
                raise
            return fp32, None
        fp32 = proof()
    return fp32, begun if fp32.wanted else None


def _contradicted(
    heard: Heard, spec: DeploySpec, environment: Environment, seconds: float
) -> Deployment:
    """Return a deployment of nothing: what was stated is not what the net was trained with."""
    source = heard.source
    return Deployment(
        files={},
        sha256={},
        parity={},
        inspection=None,
        allowed_float_ops=spec.allow_float_ops,
        notices=source.notices,
        seconds=seconds,
        environment=environment,
        preprocess=source.preprocess,
        witness=heard.report,
    )


def _resized(artifacts: dict[str, Artifact], plan: Plan) -> tuple[dict[str, Artifact], str]:
    """Return the files with the resizing in front, and how close it is to Pillow's."""
    check = check_resize(artifacts["fp32"].preprocess, plan.images)
    found = {"fp32": with_resize(artifacts["fp32"], check)}
    if "int8" in artifacts:
        found["int8"] = with_resize(artifacts["int8"], check, found["fp32"])
    return found, str(check)
