"""What a bundle holds and how to prove it."""

from __future__ import annotations

import shlex

from resnet_deploy.report.document import Document, Notes, Section, Table
from resnet_deploy.report.words import file_name, megabytes, whole
from resnet_deploy.results import BundleReport


def view(bundle: BundleReport) -> Document:
    """Return where the bundle is, what is in it, and the commands of its self-test."""
    real = f", {bundle.real_pictures} of them real pictures" if bundle.real_pictures else ""
    lines = (
        f"wrote {bundle.folder}  {bundle.target}, {len(bundle.sizes)} files, "
        f"{megabytes(sum(bundle.sizes.values()))}",
        f"{bundle.cases} golden cases{real}; scores may differ by {bundle.tolerance:g} of the "
        "largest",
        *(f"note  {note}" for note in bundle.notes),
    )
    files = Table.of(
        "Files of the bundle",
        bundle.sizes.items(),
        [("file", lambda file: file[0]), ("bytes", lambda file: file[1], whole)],
    )
    seen = ("to see it pass:", f"cd {shlex.quote(bundle.folder)}", *bundle.commands)
    return Document(
        topic=f"Bundle for {bundle.target}",
        title=file_name(bundle.folder),
        sections=(
            Section("What it holds", (Notes(lines),)),
            Section("Files", (files,), detail=True),
        ),
        steps=seen if bundle.commands else (),
    )
