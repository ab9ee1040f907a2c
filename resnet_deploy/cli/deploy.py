"""``resnet-deploy deploy``: many nets for many targets, as one file says."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import MOST_WORKERS, PATH, Words, cluster_option, threads_option
from resnet_deploy.cli.output import here, output_options, show
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.visible import visible_line, without_secrets

if TYPE_CHECKING:
    from resnet_deploy.results import CellResult

_words = Words(api.deploy_matrix)


@click.command("deploy")
@_words("--matrix", type=PATH, metavar="FILE.toml")
@_words("-o", "--out", type=PATH, default=Path("artifacts"), show_default=True)
@_words("--dry-run")
@_words("--workers", type=click.IntRange(1, MOST_WORKERS))
@cluster_option(_words)
@threads_option(_words)
@_words("--force")
@output_options
def command(matrix: Path, **words: Any) -> None:
    """Make many nets for many targets, as one TOML file says.

    Each [nets.NAME] for each [targets.NAME] is a cell: the files of export, checked as ever, and
    with bundle = "web" or the like what an app needs, in the folder OUT/NET/TARGET. Options are
    those of export, without the hyphens in front. A cell that fails stops no other; the exit code
    is 1 then. What was made before of the same is left as it is, so the same command goes on after
    an interruption.
    """
    from resnet_deploy.report.views.matrix import line

    told = logging.getLogger("resnet_deploy").isEnabledFor(logging.WARNING)

    def tell(cell: CellResult) -> None:
        if told and not words["dry_run"]:
            click.echo(visible_line(without_secrets(line(cell))), err=True)

    with ProgressBar() as progress:
        result = api.deploy_matrix(
            matrix, **words, environment=here(), progress=progress, on_result=tell
        )
    show(result)
