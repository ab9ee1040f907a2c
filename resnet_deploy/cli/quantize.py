"""``resnet-deploy quantize``: an fp32 ONNX file becomes an int8 one."""

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
    input_option,
    picture_options,
    precision_option,
    quantization_options,
    seed_option,
    threads_option,
)
from resnet_deploy.cli.output import asked_for_report, here, output_options, show
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.errors import SpecError

_words = Words(api.deploy)


@click.command("quantize")
@file_argument("source")
@_words("-o", "--out", type=PATH, help="File or folder.  [default: NAME.int8.onnx beside it]")
@precision_option(_words)
@input_option(_words)
@answer_options(_words)
@picture_options()
@quantization_options(_words)
@_words(
    "--no-float-ops",
    "allow_float_ops",
    is_flag=True,
    flag_value=False,
    default=None,  # left out, click would take False
    help="Fail, and write nothing, when ONNX Runtime leaves operators in float.",
)
@_words("--sensitivity")
@_words("--max-drop", type=float, metavar="POINTS")
@_words("--min-agreement", type=float, metavar="SHARE")
@data_option(_words)
@seed_option(_words)
@threads_option(_words)
@_words("--force")
@output_options
def command(source: Path, **words: Any) -> None:
    """Turn an fp32 ONNX classifier, of this tool or any other, into an int8 file.

    Activations become u8, weights s8 per channel, biases int32. The result is compared with
    MODEL.onnx; nothing is written unless it is close. Operators that ONNX Runtime leaves in float
    are named with the reason. Where int8 is not 1.1 times as fast as fp32, in all or in part,
    nothing is written and the exit code is 1 ("keep fp32"). With --precision fp16 the file is
    float16 instead, MODEL.fp16.onnx, compared in the same way.

    With --max-drop or --min-agreement: the residual stream stays float if int8 alone does not hold
    the budget, then layers, those first that remove most noise from the logits for the time they
    cost, until it holds on all images of --data (without it: on other images of --calibration). The
    best file so far is always in place; the exit code is 1 when the budget was missed.
    """
    if asked_for_report() and not words["sensitivity"]:
        raise SpecError("--report shows the ranking of the layers: add --sensitivity")
    with ProgressBar() as progress:
        result = api.deploy(source, **words, environment=here(), progress=progress)
    show(result)
