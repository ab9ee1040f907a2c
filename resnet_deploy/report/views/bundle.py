"""What a bundle holds and how to prove it."""

from __future__ import annotations

from resnet_deploy.report.document import Document, Notes, Section, Table
from resnet_deploy.report.words import file_name, megabytes, whole
from resnet_deploy.results import BundledRuntime, BundleReport
from resnet_deploy.visible import operand, shell_line


def view(bundle: BundleReport) -> Document:
    """Return where the bundle is, what is in it, and the commands of its self-test."""
    real = f", {bundle.real_pictures} of them real pictures" if bundle.real_pictures else ""
    lines = (
        f"wrote {bundle.folder}  {bundle.target}, {len(bundle.sizes)} files, "
        f"{megabytes(sum(bundle.sizes.values()))}",
        _runs_on(bundle),
        f"{bundle.cases} golden cases{real}; scores may differ by {_bounds(bundle.runtimes)} of "
        "the largest",
        *(f"note  {note}" for note in bundle.notes),
    )
    files = Table.of(
        "Files of the bundle",
        bundle.sizes.items(),
        [("file", lambda file: file[0]), ("bytes", lambda file: file[1], whole)],
    )
    seen = ("to see it pass:", shell_line(["cd", operand(bundle.folder)]), *bundle.commands)
    return Document(
        topic=f"Bundle for {bundle.target}",
        title=file_name(bundle.folder),
        sections=(
            Section("What it holds", (Notes(lines),)),
            Section("Files", (files,), detail=True),
        ),
        steps=seen if bundle.commands else (),
    )


def _runs_on(bundle: BundleReport) -> str:
    """Return what runs the network, with what, and why."""
    first, *others = bundle.runtimes
    how = [f"{first.threads} thread{'s' * (first.threads != 1)}"] if first.threads else []
    how += [] if first.spin else ["without spinning"]
    how += [f"{key}={value}" for key, value in first.options]
    known = f" ({', '.join(how)})" if how else ""
    rest = "".join(f", or {_release(other)} where that is missing" for other in others)
    return f"runs on {_release(first)}{known}{rest}; {bundle.why}"


def _release(runtime: BundledRuntime) -> str:
    return f"{runtime.name} {runtime.min_version} or later"


def _bounds(runtimes: tuple[BundledRuntime, ...]) -> str:
    """Return how far scores may be from the recorded ones, by runtime where that differs."""
    if len({runtime.tolerance for runtime in runtimes}) == 1:
        return f"{runtimes[0].tolerance:g}"
    return " or ".join(f"{runtime.tolerance:g} ({runtime.name})" for runtime in runtimes)
