"""The loop: changed inputs for one door, read one after the other, findings kept.

An input that reaches lines that none before it reached is changed further, as are the seeds.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resnet_deploy.errors import ResnetDeployError
from tests.fuzz.coverage import Coverage
from tests.fuzz.doors import Surface
from tests.fuzz.mutation import mutated
from tests.fuzz.outside import Outside
from tests.fuzz.watch import Watch

CORPUS: Final = Path(__file__).with_name("corpus")
"""By door, what reached new lines or was a finding: seeds, and read by the tests as they are."""

FOUND: Final = "found-"
"""How the names of what was a finding begin."""

LARGEST: Final = 20_000
"""Bytes of a file in the corpus."""

_BARREN: Final = 1000
"""Inputs in a row without a new line, after which few are traced."""

_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True)
class Found:
    """An input and what is wrong with how it was read."""

    surface: str
    what: str
    data: bytes


def corpus_of(surface: Surface) -> list[bytes]:
    """Return the door's corpus."""
    folder = CORPUS / surface.name
    return [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []


def keep(folder: Path, data: bytes, prefix: str = "") -> str:
    """Write ``data`` into ``folder``; return its name."""
    folder.mkdir(parents=True, exist_ok=True)
    name = prefix + hashlib.sha256(data).hexdigest()[:16]
    (folder / name).write_bytes(data)
    return name


def thin(surface: Surface, watch: Watch, more: Sequence[bytes]) -> None:
    """Keep of the door's corpus and of ``more`` what is needed for the lines that they reach.

    Small ones come first; what was a finding stays.
    """
    coverage, folder = Coverage(surface), CORPUS / surface.name
    reached = [path for path in folder.glob("*") if not path.name.startswith(FOUND)]
    inputs = sorted({*more, *(path.read_bytes() for path in reached)}, key=lambda d: (len(d), d))
    with Door(surface, watch, coverage) as door:
        for data in surface.seeds():
            door.read(data)
        lines = len(coverage.seen)
        for path in reached:
            path.unlink()
        for data in inputs:
            door.read(data)
            if len(coverage.seen) > lines and len(data) <= LARGEST:
                lines = len(coverage.seen)
                keep(folder, data)


@dataclass
class Door:
    """A surface with a folder to read inputs in, which is kept from one to the next.

    Used in a ``with``, it has the folder until the end of it.
    """

    surface: Surface
    watch: Watch
    coverage: Coverage | None = None
    _folder: Path | None = field(default=None, init=False)

    def __enter__(self) -> Door:
        self._stack = contextlib.ExitStack()
        memory = _MEMORY if _MEMORY.is_dir() else None
        root = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory))
        )
        (root / "tmp").mkdir()
        before = tempfile.tempdir
        self._stack.callback(setattr, tempfile, "tempdir", before)
        # Whatever the door imports and makes once is done before anything counts.
        for data in self.surface.seeds():
            self._warm(data, root)
        self._beside = dict(self.surface.beside())
        tempfile.tempdir = str(root / "tmp")
        self._outside = Outside(root / "out")
        self._stack.callback(self._outside.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _warm(self, data: bytes, root: Path) -> None:
        with tempfile.TemporaryDirectory(dir=root) as folder:
            self._fill(Path(folder), dict(self.surface.beside()))
            Path(folder, self.surface.file).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, self.surface.file).write_bytes(data)
            with contextlib.suppress(ResnetDeployError):
                self.surface.read(Path(folder, self.surface.file))

    @staticmethod
    def _fill(folder: Path, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def read(self, data: bytes, *, traced: bool = True) -> str | None:
        """Return what is wrong with how ``data`` is read, or None.

        With ``traced`` the lines that run are counted, if there is a coverage.
        """
        folder = self._outside.inside
        if self.surface.writes and any(folder.iterdir()):
            shutil.rmtree(folder)
            folder.mkdir()
        if self.surface.writes or not any(folder.iterdir()):
            self._fill(folder, self._beside)
        path = folder / self.surface.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._outside.touched()
        coverage = self.coverage if traced else None
        with contextlib.nullcontext() if coverage is None else coverage.watching():
            what = self.watch.run(
                lambda: self.surface.read(path), folder, writes=self.surface.writes
            )
        return what or self._outside.touched()


def findings(
    door: Door,
    *,
    inputs: int,
    seconds: float,
    seed: int,
    reached: Callable[[bytes], object] | None = None,
) -> Iterator[Found | int]:
    """Yield each finding of a new kind; at last, how many inputs were read.

    The seeds and the corpus come first, as they are, and don't count.
    The loop ends after ``inputs``, or after ``seconds``. ``reached`` is called with what runs
    lines that nothing before it ran, if the door has a ``coverage``.
    """
    surface, coverage = door.surface, door.coverage
    chance = random.Random(f"{surface.name} {seed}")
    seeds = [*surface.seeds(), *corpus_of(surface)]
    kinds: set[str] = set()
    end, done = time.monotonic() + seconds, 0
    waiting = list(seeds)
    lines = 0 if coverage is None else len(coverage.seen)
    barren = 0
    while done < inputs and time.monotonic() < end:
        first = bool(waiting)
        data = waiting.pop(0) if first else mutated(seeds, chance)
        # Tracing takes as long as reading: where nothing new came up for long, one in eight is.
        what = door.read(data, traced=barren < _BARREN or done % 8 == 0)
        done += not first
        barren += 1
        if what is not None and (kind := what.partition(":")[0]) not in kinds:
            kinds.add(kind)
            yield Found(surface.name, what, data)
        if coverage is not None and len(coverage.seen) > lines:
            lines, barren = len(coverage.seen), 0
            if not first and len(data) <= LARGEST:
                seeds.append(data)
                if reached is not None:
                    reached(data)
    yield done
