"""The options of quantization, shared by ``export`` and ``quantize``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from resnet_deploy.cli.options import MODEL, add_options
from resnet_deploy.spec import CalibrationMethod, QuantSpec, TargetIsa

F = TypeVar("F", bound=Callable[..., Any])


def quant_options(function: F) -> F:
    """``--calibration`` to ``--verify``; the verb gets a :class:`QuantSpec` ``quant``."""

    @functools.wraps(function)
    def with_spec(
        *arguments: Any,
        calibration_method: str,
        calibration_samples: int,
        target_isa: str,
        exclude: tuple[str, ...],
        **others: Any,
    ) -> Any:
        quant = QuantSpec(
            calibration_method=CalibrationMethod(calibration_method),
            samples=calibration_samples,
            target_isa=TargetIsa(target_isa),
            exclude=exclude,
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
        "--target-isa",
        type=click.Choice([isa.value for isa in TargetIsa]),
        default=TargetIsa.AUTO.value,
        show_default="this CPU's",
        help="Choose int8 kernels for every CPU or for one kind; the answers stay the same.",
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
