"""What a report looks like on a terminal."""

from __future__ import annotations

from rich.console import Console, RenderableType


def rendered(report: RenderableType) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(report)
    return captured.get()
