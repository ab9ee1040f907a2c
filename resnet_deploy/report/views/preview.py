"""What a dry run found: the files, phases and memory of a verb that did nothing."""

from __future__ import annotations

from typing import Any

from resnet_deploy.report.document import Cell, Document, Notes, Section, Table, Verdict
from resnet_deploy.report.words import megabytes, span_of_time
from resnet_deploy.results.preview import PlannedFile, PlannedPhase, Preview


def view(result: Any) -> Document:
    """Return what the ``preview`` of a verb's ``result`` says."""
    preview: Preview = result.preview
    files = Table.of(
        "Files that would be written",
        preview.files,
        [
            ("file", lambda file: Cell(file.path)),
            ("there now", lambda file: "replaced" if file.replaces else "-"),
            ("size", _size),
        ],
        words=2,
    )
    phases = Table.of(
        "How long it would take",
        preview.phases,
        [
            ("phase", lambda phase: phase.name),
            ("from", lambda phase: phase.basis),
            ("time", _time),
        ],
        words=2,
    )
    least, most = preview.memory_bytes
    memory = (
        f"memory: {_from_to(megabytes(least), megabytes(most))} ({preview.memory_basis}); "
        f"{megabytes(preview.available_bytes)} are available here"
    )
    notes = tuple(f"note  {notice}" for notice in preview.notices)
    return Document(
        topic="Dry run",
        title="nothing was written",
        verdict=Verdict(
            "plain",
            "DRY RUN",
            (f"dry run: nothing was written; it would take {span_of_time(preview.seconds)}",),
        ),
        sections=(
            Section("Notes", (Notes(notes),)),
            Section("Files", (files,)),
            Section("Time", (phases,)),
            Section("Memory", (Notes((memory,)),)),
        ),
        environment=getattr(result, "environment", None),
    )


def _size(file: PlannedFile) -> Cell:
    least, most = file.bytes
    return Cell(_from_to(megabytes(least), megabytes(most)), float(most))


def _time(phase: PlannedPhase) -> Cell:
    return Cell(span_of_time(phase.seconds), phase.seconds[1])


def _from_to(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"
