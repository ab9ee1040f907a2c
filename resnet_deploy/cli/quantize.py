"""``resnet-deploy quantize``: an fp32 ONNX file becomes an int8 one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    command_line,
    data_option,
    force_option,
    input_option,
    json_option,
    model_argument,
    seed_option,
    show_deployment,
    threads_option,
    verbosity_options,
)
from resnet_deploy.cli.quant_options import quant_options
from resnet_deploy.cli.report_option import report_option, write_report
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import Budget, InputFormat, QuantSpec


@click.command("quantize")
@model_argument
@click.option(
    "-o", "--out", type=MODEL, help="File or folder.  [default: NAME.int8.onnx beside the model]"
)
@input_option(None)
@quant_options
@click.option(
    "--no-float-ops",
    is_flag=True,
    help="Fail, and write nothing, when ONNX Runtime leaves operators in float.",
)
@click.option(
    "--sensitivity",
    is_flag=True,
    help="Rank the layers: what each would gain and cost in float.",
)
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="Top-1 that int8 may lose on labelled --data; layers stay float until it holds.",
)
@click.option(
    "--min-agreement",
    type=float,
    metavar="SHARE",
    help="Share of images, 0 to 1, that must keep the top-1 of fp32; needs no labels.",
)
@data_option()
@seed_option
@threads_option
@force_option
@json_option
@report_option
@verbosity_options
def command(
    model: Path,
    out: Path | None,
    input_format: str | None,
    quant: QuantSpec,
    calibration: Path | None,
    verify: bool,
    no_float_ops: bool,
    sensitivity: bool,
    max_drop: float | None,
    min_agreement: float | None,
    data: Path | None,
    seed: int,
    threads: int,
    force: bool,
    json_file: str | None,
    report_file: Path | None,
) -> None:
    """Turn an fp32 ONNX classifier, of this tool or any other, into an int8 file.

    Activations become u8, weights s8 per channel, biases int32. The result is compared with
    MODEL.onnx; nothing is written unless it is close. Operators that ONNX Runtime leaves in float
    are named with the reason.

    With --max-drop or --min-agreement: layers stay float, those first that remove most noise from
    the logits for the time they cost, until the budget holds on all images of --data (without it:
    on other images of --calibration). The best file so far is always in place; the exit code is 1
    when the budget was missed.
    """
    from resnet_deploy.pipeline import quantize_file
    from resnet_deploy.runners.cpu import environment

    if report_file is not None and not sensitivity:
        raise SpecError("--report shows the ranking of the layers: add --sensitivity")
    name = f"{model.stem}.int8.onnx"
    target = model.with_name(name) if out is None else out
    if target.suffix != ".onnx":
        target /= name
    budget = None
    if max_drop is not None or min_agreement is not None:
        budget = Budget(max_drop=max_drop, min_agreement=min_agreement)
    with ProgressBar() as progress:
        deployment = quantize_file(
            model,
            target,
            calibration=calibration,
            spec=replace(quant, seed=seed),
            environment=environment(command_line()),
            verify=verify,
            allow_float_ops=not no_float_ops,
            force=force,
            threads=threads,
            input_format=None if input_format is None else InputFormat(input_format),
            data=data,
            sensitivity=sensitivity,
            budget=budget,
            progress=progress,
        )
    if report_file is not None:
        from resnet_deploy.report import html

        write_report(html(deployment), report_file)
    show_deployment(deployment, json_file)
