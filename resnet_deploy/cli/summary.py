"""``resnet-deploy summary``: a network as in Table 1 of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import PATH, Words, network_options, output_name_option
from resnet_deploy.cli.output import output_options, show

_words = Words(api.summary)


@click.command("summary", help=_words.help)
@click.argument("source", metavar="[FILE.onnx]", type=PATH, required=False)
@output_name_option(_words)
@network_options(_words)
@output_options
def command(source: Path | None, **words: Any) -> None:
    """Show a network; the API's description is the help."""
    show(api.summary(source, **words))
