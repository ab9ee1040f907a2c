"""The options of quantization, shared by ``export`` and ``quantize``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from resnet_deploy.cli.options import MODEL, add_options
from resnet_deploy.spec import CalibrationMethod, Effort, FirstConv, QuantSpec, TargetIsa

F = TypeVar("F", bound=Callable[..., Any])

_MOST_WORKERS = 256
"""Each has the model in memory."""


def quant_options(function: F) -> F:
    """``--calibration`` to ``--verify``; the verb gets a :class:`QuantSpec` ``quant``."""

    @functools.wraps(function)
    def with_spec(
        *arguments: Any,
        calibration_method: str,
        calibration_samples: int,
        effort: str,
        target_isa: str,
        first_conv: str,
        exclude: tuple[str, ...],
        workers: int,
        calibration_cache: Path | None,
        no_calibration_cache: bool,
        **others: Any,
    ) -> Any:
        if calibration_cache is None:
            from resnet_deploy.artifact.files import cache_folder

            calibration_cache = cache_folder() / "calibration"
        quant = QuantSpec(
            calibration_method=CalibrationMethod(calibration_method),
            effort=Effort(effort),
            samples=calibration_samples,
            target_isa=TargetIsa(target_isa),
            first_conv=FirstConv(first_conv),
            exclude=exclude,
            workers=workers,
            calibration_cache=None if no_calibration_cache else calibration_cache,
        )
        return function(*arguments, quant=quant, **others)

    typed: F = add_options(with_spec, _OPTIONS)
    return typed


_OPTIONS = (
    click.option(
        "--calibration",
        type=MODEL,
        metavar="DIR|FILE",
        help="Images that set the int8 ranges: a folder, CIFAR batches, IDX or .npz.",
    ),
    click.option(
        "--calibration-method",
        type=click.Choice([method.value for method in CalibrationMethod]),
        default=CalibrationMethod.MSE.value,
        show_default=True,
        help="How the range of an activation is chosen from what was seen.",
    ),
    click.option(
        "--calibration-samples",
        type=click.IntRange(1),
        default=512,
        show_default=True,
        help="How many images are taken, spread over the classes.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, _MOST_WORKERS),
        default=1,
        show_default=True,
        help="Processes that share the calibration images; same result.",
    ),
    click.option(
        "--calibration-cache",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Where what was seen is kept, for a run that was stopped or another method.  "
        "[default: the user's cache folder]",
    ),
    click.option(
        "--no-calibration-cache", is_flag=True, help="Keep nothing, and use nothing kept."
    ),
    click.option(
        "--effort",
        type=click.Choice([effort.value for effort in Effort]),
        default=Effort.FAST.value,
        show_default=True,
        help="fast: seconds; best: weights rounded together, layer by layer, in minutes.",
    ),
    click.option(
        "--target-isa",
        type=click.Choice([isa.value for isa in TargetIsa]),
        default=TargetIsa.AUTO.value,
        show_default="this CPU's",
        help="Choose int8 kernels for every CPU or for one kind; the answers stay the same.",
    ),
    click.option(
        "--first-conv",
        type=click.Choice([one.value for one in FirstConv]),
        default=FirstConv.AUTO.value,
        show_default=True,
        help="auto: twelve channels instead of three, for ONNX Runtime; plain: as it is, for "
        "OpenVINO.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Torch modules that stay float, as 'layer4.*'; may be repeated.",
    ),
    click.option(
        "--verify/--no-verify",
        default=True,
        help="Compare the files with their source.  [default: verify]",
    ),
)
