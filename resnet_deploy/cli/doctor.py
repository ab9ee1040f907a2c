"""``resnet-deploy doctor``: what this machine can run."""

from __future__ import annotations

import click

from resnet_deploy.cli.options import command_line, json_option, verbosity_options, write_json


@click.command()
@json_option
@verbosity_options
def command(json_file: str | None) -> None:
    """Show what this machine can run, what that means for int8, and what is missing."""
    from resnet_deploy.doctor import diagnose, rows
    from resnet_deploy.results import to_dict

    diagnosis = diagnose(command_line())
    if json_file != "-":
        from rich.console import Console

        from resnet_deploy.report.doctor import render

        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=200)
        console.print(render(rows(diagnosis)))
    if json_file is not None:
        write_json(to_dict(diagnosis), json_file)
