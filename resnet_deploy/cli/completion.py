"""What a shell offers for the value of an option that takes some words, or files as well."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

_Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def listed(metavar: str) -> _Completer | None:
    """Return what completes a value that is shown as ``[random|cifar10|FILE]``; None: nothing does.

    Words are offered as they stand; what has capital letters is the user's: ``FILE`` and ``FOLDER``
    have the shell complete paths, ``top-K`` is left to be typed.
    """
    each = metavar.strip("[]").split("|")
    words = [word for word in each if word.islower()]
    paths = any(word.startswith(("FILE", "FOLDER")) for word in each)
    if not (words or paths):
        return None

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del context, parameter
        found = [CompletionItem(word) for word in words if word.startswith(incomplete)]
        # First, since click's script for bash forgets what came before it.
        return [*([CompletionItem(incomplete, type="file")] if paths else []), *found]

    return complete
