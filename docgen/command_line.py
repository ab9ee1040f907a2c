"""The pages on the command line, made of what click knows of each verb."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import click

from resnet_deploy.cli.main import VERBS, cli

FOLDER = "reference/cli"
"""Of the pages, in the site."""

_FAILS = {
    "train": "never: a training that can't go on is bad input, or ended by a signal",
    "export": "a check does not hold, or int8 is hardly faster (`keep fp32`)",
    "deploy": "a cell failed, for whatever reason: its line, the table and `--json` say why",
    "quantize": "a check does not hold, or int8 is hardly faster (`keep fp32`)",
    "tune": "nothing that was tried keeps the budget",
    "verify": "the file does not compute what its reference computes",
    "bench": "`--compare` found a regression",
    "evaluate": "a trained net answers no better than chance",
    "predict": "never",
    "summary": "never",
    "bundle": "never: what can't be bundled is bad input",
    "doctor": "never",
}
"""When a verb ends with exit code 1."""


def pages() -> Mapping[str, str]:
    """Return the Markdown of every page, by its place in the site."""
    with click.Context(cli, info_name="resnet-deploy") as context:
        found = {f"{FOLDER}/{verb}.md": _page(context, verb) for verb in VERBS}
        return {f"{FOLDER}/index.md": _overview(context), **found}


def _overview(context: click.Context) -> str:
    verbs = "".join(f"| [`{verb}`]({verb}.md) | {text} |\n" for verb, text in VERBS.items())
    codes = "".join(f"| `{verb}` | {text} |\n" for verb, text in _FAILS.items())
    return f"""\
# The command line

```text
resnet-deploy VERB [OPTIONS] …
```

| verb | what it does |
|---|---|
{verbs}
`resnet-deploy --version` prints the version, `resnet-deploy VERB --help` what stands on these
pages. Options may stand before or after files, and are checked before any work begins.

{_table(context, cli)}
## Exit codes of the verbs

[Exit codes](../exit-codes.md) has the meaning of each; 1 says that a check failed:

| verb | ends with 1 when |
|---|---|
{codes}
## Completion

click completes verbs and options in Bash (4.4 or later), Zsh and Fish:

=== "Bash"

    ```sh
    eval "$(_RESNET_DEPLOY_COMPLETE=bash_source resnet-deploy)"  # into ~/.bashrc
    ```

=== "Zsh"

    ```sh
    eval "$(_RESNET_DEPLOY_COMPLETE=zsh_source resnet-deploy)"  # into ~/.zshrc
    ```

=== "Fish"

    ```sh
    # into ~/.config/fish/completions/resnet-deploy.fish
    _RESNET_DEPLOY_COMPLETE=fish_source resnet-deploy | source
    ```
"""


def _page(context: click.Context, verb: str) -> str:
    command = cli.get_command(context, verb)
    assert command is not None
    with click.Context(command, info_name=verb, parent=context) as own:
        usage = own.get_usage().removeprefix("Usage: ")
        paragraphs = (command.help or "").split("\n\n")
        text = "\n\n".join(_escaped(" ".join(part.split())) for part in paragraphs)
        return f"""\
# resnet-deploy {verb}

{text}

```text
{" ".join(usage.split())}
```

## Options

{_table(own, command)}
## Exit code

0 when all is well; 1: {_FAILS[verb]}. [The others](../exit-codes.md) are those of every verb.
"""


def _table(context: click.Context, command: click.Command) -> str:
    return "| option | what it does |\n|---|---|\n" + "".join(_rows(context, command))


def _rows(context: click.Context, command: click.Command) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:  # an argument: the usage has it
            continue
        names, text = record
        # Choices are separated by bars, as are the columns of a table.
        shown = names.replace("|", "\\|")
        yield f"| `{shown}` | {_escaped(text)} |\n"


def _escaped(text: str) -> str:
    """Return ``text`` as Markdown that shows it as it is; options in it are code."""
    safe = re.sub(r"([*_\[\]<>|`])", r"\\\1", text)
    return re.sub(r"(?<![\w`-])(--[a-z][a-z0-9-]*)", r"`\1`", safe)
