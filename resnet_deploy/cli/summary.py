"""``resnet-deploy summary``: a network as in Table 1 of the paper."""

from __future__ import annotations

from pathlib import Path

import click

from resnet_deploy.cli.model_options import model_request_options
from resnet_deploy.cli.options import (
    MODEL,
    json_option,
    rendered,
    show,
    verbosity_options,
)
from resnet_deploy.spec.model_request import ModelRequest


@click.command("summary")
@click.argument("file", metavar="[FILE.onnx]", type=MODEL, required=False)
@model_request_options
@json_option
@verbosity_options
def command(file: Path | None, request: ModelRequest, json_file: str | None) -> None:
    """Show a network, or an ONNX file, as in Table 1 of the paper.

    Stage, output size, layers, parameters and multiply-accumulates; the paper's FLOPs beside
    ours. For a file also precision, opset, size, operators, the ONNX Runtime it needs, and its
    card: weights, licence, preprocessing, calibration, accuracy, the ISAs it proved right on.
    """
    from resnet_deploy.results import to_dict
    from resnet_deploy.summary import summarize_artifact, summarize_spec

    if file is not None:
        if request != ModelRequest():
            raise click.UsageError("name a network or FILE.onnx, not both")
        summary = summarize_artifact(file)
    elif request.depth is None and request.model is None:
        raise click.UsageError("name a network (--depth 34, --model vgg19) or FILE.onnx")
    else:
        summary = summarize_spec(request.spec())

    show(rendered(summary), to_dict(summary), json_file)
