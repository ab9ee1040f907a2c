"""What a bundle holds and how to prove it, in a few lines."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from resnet_deploy.results import BundleReport


def bundle_report(bundle: BundleReport) -> RenderableType:
    """Return where the bundle is, what is in it, and the commands of its self-test."""
    size = sum(bundle.sizes.values()) / 1e6
    real = f", {bundle.real_pictures} of them real pictures" if bundle.real_pictures else ""
    lines: list[RenderableType] = [
        Text(f"wrote {bundle.folder}  {bundle.target}, {len(bundle.sizes)} files, {size:.1f} MB"),
        Text(
            f"{bundle.cases} golden cases{real}; scores may differ by {bundle.tolerance:g} of the "
            "largest"
        ),
    ]
    lines += [Text(f"note  {note}") for note in bundle.notes]
    if bundle.commands:
        lines.append(Text("to see it pass:"))
        lines += [Text(f"  {line}") for line in (f"cd {bundle.folder}", *bundle.commands)]
    return Group(*lines)
