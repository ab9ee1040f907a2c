"""``resnet-deploy doctor``: what this machine can run."""

from __future__ import annotations

import click

from resnet_deploy.cli.options import command_line, json_option, show, verbosity_options


@click.command()
@json_option
@verbosity_options
def command(json_file: str | None) -> None:
    """Show what this machine can run, what that means for int8, and what is missing."""
    from resnet_deploy.doctor import diagnose, rows
    from resnet_deploy.report.doctor import render
    from resnet_deploy.results import to_dict

    diagnosis = diagnose(command_line())
    show(render(rows(diagnosis)), to_dict(diagnosis), json_file)
