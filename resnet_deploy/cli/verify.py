"""``resnet-deploy verify``: proof that a file computes what its reference computes.

Four functions of the API: against a reference, on other CPUs, where products overflow, and what
the net's BatchNorms remember.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import (
    PATH,
    Words,
    answer_options,
    data_option,
    file_argument,
    picture_options,
    seed_option,
    threads_option,
)
from resnet_deploy.cli.output import here, output_options, replace_card, show
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import Told

_words = Words(api.verify)

_IMAGES = (
    "output_name",
    "input_options",
    "data",
    "follow_links",
    "samples",
    "seed",
    "threads",
    "environment",
)
"""What counting overflows needs of the options."""

_OF_A_WITNESS = ("against", "model")
"""What a witness needs besides; it has no use for threads."""


@click.command("verify")
@file_argument()
@_words("--against", type=PATH, metavar="OTHER.onnx|cifar10|CHECKPOINT")
@_words("--model", metavar="package.module:factory")
@answer_options(_words)
@picture_options()
@data_option(_words)
@_words("--samples", type=click.IntRange(1))
@_words("--per-layer")
@Words(api.verify_isa)(
    "--isa",
    metavar="ISA,...",
    required=False,
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
@click.option(
    "--witness",
    is_flag=True,
    help="Ask the BatchNorms of the file, or of --against, how pictures are fed.",
)
@_words("--max-relative", type=click.FloatRange(0))
@_words("--min-sqnr", type=float)
@_words("--min-cosine", type=click.FloatRange(0, 1))
@_words("--min-agreement", type=click.FloatRange(0, 1))
@seed_option(_words)
@threads_option(_words)
@output_options
def command(
    artifact: Path,
    isa: str | None,
    record: bool,
    saturation: bool,
    witness: bool,
    per_layer: bool,
    **words: Any,
) -> None:
    """Compare MODEL.onnx on ONNX Runtime with PyTorch, another file or a checkpoint.

    Optimisations off and all, batch sizes 1, 2 and 5. Without --data on synthetic images. Exit code
    1 when a tolerance does not hold: fp32 1e-5 of the largest logit and equal top-1; int8 15 dB,
    cosine 0.98 and, for trained nets on 100 real images or more, 90 % equal top-1.

    With --isa the file runs on the real kernels of other CPUs, emulated where this one lacks them,
    and must give what it gives here: the same tolerances and, for trained nets on real images,
    99.9 % equal top-1.

    With --saturation no such CPU is needed: exit code 1 when sums of products overflow on the
    images, layer by layer.

    With --witness the BatchNorms of the file, or of the checkpoint that --against names, are asked
    how pictures are fed and, of a checkpoint, how the net is built; exit code 1 when they
    contradict it. They need real pictures (--data).
    """
    from resnet_deploy.artifact.onnx_file import load
    from resnet_deploy.artifact.recording import check_recordable

    if isa is not None and per_layer:
        raise SpecError("--per-layer looks at this CPU's kernels: drop it or --isa")
    if saturation and (isa is not None or per_layer):
        raise SpecError("--saturation counts overflows and compares nothing: use it alone")
    if record and (isa is None or words["data"] is None):
        raise SpecError("--record writes what --isa proves on real pictures: add --isa and --data")
    if witness and (words["data"] is None or isa is not None or saturation or per_layer):
        raise SpecError("--witness asks about real pictures and compares nothing: add --data alone")
    opened = load(artifact, Told(output_name=words["output_name"]))
    if record:
        check_recordable(opened)  # before the work, not after it
    words["environment"] = here()
    if witness:
        asked = {name: words[name] for name in (*_OF_A_WITNESS, *_IMAGES) if name != "threads"}
        with ProgressBar() as progress:
            told = api.witness(opened, **asked, progress=progress)
        show(told)
    if saturation:
        images = {name: words[name] for name in _IMAGES}
        with ProgressBar() as progress:
            counted = api.count_saturation(opened, **images, progress=progress)
        show(counted)
    if isa is None:
        with ProgressBar() as progress:
            compared = api.verify(opened, **words, per_layer=per_layer, progress=progress)
        show(compared)
    else:
        with ProgressBar() as progress:
            on_isas = api.verify_isa(opened, isa.split(","), **words, progress=progress)
        show(on_isas, (lambda: replace_card(opened, on_isas)) if record else None)
