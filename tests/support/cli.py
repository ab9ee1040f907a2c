"""The command line, called from a test."""

from __future__ import annotations

from click.testing import CliRunner, Result

from resnet_deploy.cli.main import cli


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def refused(result: Result, *words: str) -> None:
    """One line on stderr that holds ``words``, exit code 2, no traceback."""
    assert result.exit_code == 2, (result.output, result.exception)
    message = result.stderr.strip()
    assert "\n" not in message, message
    assert message.startswith("resnet-deploy: error: ")
    for word in words:
        assert word in message, message
