"""``resnet-deploy doctor``: what this machine can run."""

from __future__ import annotations

import click

from resnet_deploy import api
from resnet_deploy.cli.options import Words
from resnet_deploy.cli.output import here, output_options, show
from resnet_deploy.cli.progress import ProgressBar

_words = Words(api.doctor)


@click.command("doctor", help=_words.help)
@_words(
    "--fetch-isa-tools",
    help="First fetch the emulators of `verify --isa` (needs Debian on x86-64).",
)
@output_options
def command(fetch_isa_tools: bool) -> None:
    """Look at this machine; the API's description is the help."""
    with ProgressBar() as progress:
        result = api.doctor(fetch_isa_tools=fetch_isa_tools, environment=here(), progress=progress)
    show(result)
