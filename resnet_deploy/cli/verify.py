"""``resnet-deploy verify``: proof that a file computes what its reference computes."""

from __future__ import annotations

from pathlib import Path

import click

from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    command_line,
    data_option,
    json_option,
    model_argument,
    rendered,
    seed_option,
    show,
    threads_option,
    verbosity_options,
)
from resnet_deploy.cli.report_option import report_option, write_report
from resnet_deploy.errors import SpecError


@click.command("verify")
@model_argument
@click.option(
    "--against",
    type=MODEL,
    metavar="OTHER.onnx|cifar10|CHECKPOINT",
    help="What has the right answer.  [default: PyTorch on the fp32 file]",
)
@click.option(
    "--model",
    "factory",
    metavar="package.module:factory",
    help="What builds the net of a CHECKPOINT of your own kind.",
)
@data_option()
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="How many images of --data.",
)
@click.option("--per-layer", is_flag=True, help="Also compare every layer, by torch module.")
@click.option(
    "--isa",
    metavar="ISA,...",
    help="Compare the kernels of other CPUs with this one's: x86-avx2, x86-vnni, arm64.",
)
@click.option(
    "--record", is_flag=True, help="Write the ISAs that pass --isa on --data into the card."
)
@click.option(
    "--saturation",
    is_flag=True,
    help="Count which products overflow on x86 CPUs without VNNI.",
)
@click.option("--max-relative", type=click.FloatRange(0), help="Max |difference| / max |logit|.")
@click.option("--min-sqnr", type=float, help="Least signal to noise of the logits, in dB.")
@click.option("--min-cosine", type=click.FloatRange(0, 1), help="Least cosine of the logits.")
@click.option("--min-agreement", type=click.FloatRange(0, 1), help="Least share of equal top-1.")
@seed_option
@threads_option
@json_option
@report_option
@verbosity_options
@click.pass_context
def command(
    ctx: click.Context,
    model: Path,
    against: Path | None,
    factory: str | None,
    data: Path | None,
    samples: int,
    per_layer: bool,
    isa: str | None,
    record: bool,
    saturation: bool,
    max_relative: float | None,
    min_sqnr: float | None,
    min_cosine: float | None,
    min_agreement: float | None,
    seed: int,
    threads: int,
    json_file: str | None,
    report_file: Path | None,
) -> None:
    """Compare MODEL.onnx on ONNX Runtime with PyTorch, another file or a checkpoint.

    Optimisations off and all, batch sizes 1, 2 and 5. Without --data on made-up pictures. Exit code
    1 when a tolerance does not hold: fp32 1e-5 of the largest logit and equal top-1; int8 15 dB,
    cosine 0.98 and, for trained nets on 100 real images or more, 90 % equal top-1.

    With --isa the file runs on the real kernels of other CPUs, emulated where this one lacks them,
    and must give what it gives here: the same tolerances and, for trained nets on real images,
    99.9 % equal top-1.

    With --saturation no such CPU is needed: exit code 1 when sums of products overflow on the
    images, layer by layer.
    """
    from dataclasses import replace

    from resnet_deploy.artifact.onnx_file import load
    from resnet_deploy.artifact.recording import check_recordable
    from resnet_deploy.data.preprocess import input_preprocess
    from resnet_deploy.isa.verify import (
        compare_isas,
        isa_tolerance,
        optional_reference,
        record_isas,
        runnable_isas,
    )
    from resnet_deploy.quantize.count_saturation import count_saturation
    from resnet_deploy.reference import reference_for
    from resnet_deploy.report import html
    from resnet_deploy.results import to_dict
    from resnet_deploy.runners.cpu import environment
    from resnet_deploy.verify import (
        compare,
        default_tolerance,
        is_trained,
        verification_images,
    )

    artifact = load(model)
    if against is not None and against.resolve() == model.resolve():
        raise SpecError(f"{model} equals itself: name another file with --against")
    _check(per_layer=per_layer, isa=isa, saturation=saturation, record=record, data=data)
    if record:
        check_recordable(artifact)
    # Before the work, not after it.
    isas = None if isa is None else runnable_isas(isa.split(","))
    images, name, real = verification_images(
        data, input_preprocess(artifact), seed=seed, samples=samples
    )
    where = environment(command_line())
    if saturation:
        with ProgressBar() as progress:
            counted = count_saturation(
                model,
                [images],
                data=name,
                images=len(images),
                threads=threads,
                environment=where,
                progress=progress,
            )
        show(rendered(counted), to_dict(counted), json_file)
        if report_file is not None:
            write_report(html(counted), report_file)
        ctx.exit(0 if counted.safe else 1)
    meaningful = real and is_trained(artifact)
    given = {
        "max_relative": max_relative,
        "min_sqnr_db": min_sqnr,
        "min_cosine": min_cosine,
        "min_agreement": min_agreement,
    }
    default = (default_tolerance if isas is None else isa_tolerance)(
        artifact, len(images), meaningful=meaningful
    )
    tolerance = replace(
        default, **{key: value for key, value in given.items() if value is not None}
    )
    with ProgressBar() as progress:
        if isas is not None:
            on_isas = compare_isas(
                model,
                isas,
                images,
                data=name,
                tolerance=tolerance,
                reference=optional_reference(artifact, against, factory=factory, threads=threads),
                threads=threads,
                environment=where,
                progress=progress,
            )
            show(rendered(on_isas), to_dict(on_isas), json_file)
            if report_file is not None:
                write_report(html(on_isas), report_file)
            if record:  # last: what was found is on the screen by now
                record_isas(artifact, on_isas)
            ctx.exit(0 if on_isas.passed else 1)
        report = compare(
            model,
            reference_for(artifact, against, factory=factory, threads=threads),
            images,
            data=name,
            meaningful=meaningful,
            tolerance=tolerance,
            per_layer=per_layer,
            threads=threads,
            environment=where,
            progress=progress,
        )
    show(rendered(report), to_dict(report), json_file)
    if report_file is not None:
        write_report(html(report), report_file)
    ctx.exit(0 if report.passed else 1)


def _check(
    *, per_layer: bool, isa: str | None, saturation: bool, record: bool, data: Path | None
) -> None:
    """Refuse options that exclude each other, or need another one.

    Raises:
        SpecError: some do.
    """
    if isa is not None and per_layer:
        raise SpecError("--per-layer looks at this CPU's kernels: drop it or --isa")
    if saturation and (isa is not None or per_layer):
        raise SpecError("--saturation counts overflows and compares nothing: use it alone")
    if record and (isa is None or data is None):
        raise SpecError("--record writes what --isa proves on real pictures: add --isa and --data")
