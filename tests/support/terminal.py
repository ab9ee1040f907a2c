"""What a terminal would show."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from resnet_deploy.report import render


def printed(result: Any, width: int = 200) -> str:
    """Return the report on ``result`` as a terminal of ``width`` columns shows it."""
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(render(result, width))
    return captured.get().replace("\N{MINUS SIGN}", "-")


def rows(text: str) -> dict[str, list[str]]:
    """Return the words of each line of ``text`` by the first one of them."""
    return {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
