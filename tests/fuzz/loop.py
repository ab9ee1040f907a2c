"""The loop: inputs of one door after the other, each in a folder of its own, findings kept."""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutation import mutated
from tests.fuzz.surfaces import Surface
from tests.fuzz.watch import Watch

CORPUS = Path(__file__).with_name("corpus")
"""By door, what was once a finding: seeds from then on, and read by the tests as they are."""


@dataclass(frozen=True)
class Found:
    """An input and what is wrong with how it was read."""

    surface: str
    what: str
    data: bytes

    @property
    def name(self) -> str:
        """Of the file that the corpus keeps it in."""
        return hashlib.sha256(self.data).hexdigest()[:16]


def corpus_of(surface: Surface) -> list[bytes]:
    """Return the inputs that were findings once."""
    folder = CORPUS / surface.name
    return [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []


def read_one(surface: Surface, data: bytes, watch: Watch) -> str | None:
    """Return what is wrong with how ``data`` is read, or None."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, surface.file)
        path.write_bytes(data)
        for name, content in surface.beside.items():
            path.with_name(name).write_bytes(content)
        return watch.run(lambda: surface.read(path))


def findings(
    surface: Surface, *, inputs: int, seconds: float, seed: int, watch: Watch
) -> Iterator[Found | int]:
    """Yield each finding of a new kind; at last, how many inputs were read.

    The loop ends after ``inputs``, or after ``seconds``.
    """
    chance = random.Random(f"{surface.name} {seed}")
    seeds = [*surface.seeds(), *corpus_of(surface)]
    kinds: set[str] = set()
    end, done = time.monotonic() + seconds, 0
    while done < inputs and time.monotonic() < end:
        data = mutated(seeds, chance)
        what = read_one(surface, data, watch)
        done += 1
        if what is not None and (kind := what.partition(":")[0]) not in kinds:
            kinds.add(kind)
            yield Found(surface.name, what, data)
    yield done
