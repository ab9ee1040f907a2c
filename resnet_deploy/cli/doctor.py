"""``resnet-deploy doctor``: what this machine can run."""

from __future__ import annotations

import click

from resnet_deploy.cli.options import (
    ProgressBar,
    command_line,
    json_option,
    rendered,
    show,
    verbosity_options,
)


@click.command()
@click.option(
    "--fetch-isa-tools",
    is_flag=True,
    help="First fetch the emulators of `verify --isa` (needs Debian on x86-64).",
)
@json_option
@verbosity_options
def command(fetch_isa_tools: bool, json_file: str | None) -> None:
    """Show what this machine can run, what that means for int8, and what is missing."""
    from resnet_deploy.doctor import diagnose
    from resnet_deploy.isa.tools import fetch_tools
    from resnet_deploy.results import to_dict

    if fetch_isa_tools:
        with ProgressBar() as progress:
            fetch_tools(progress)
    diagnosis = diagnose(command_line())
    show(rendered(diagnosis), to_dict(diagnosis), json_file)
