"""Atheris in place of the loop: it steers by the branches that an input takes.

https://github.com/google/atheris. It changes bytes as libFuzzer does, and every other time parts
of the format as the loop does. ``pip install -e '.[fuzz]'`` has it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.fuzz.doors import Surface
from tests.fuzz.loop import LARGEST, Door, Found, corpus_of
from tests.fuzz.mutation import mutated
from tests.fuzz.watch import Watch

_COUNTS: Final = struct.Struct("=QQ")
"""Inputs and kinds of findings, in memory that both processes see."""


def guided(
    surface: Surface, *, inputs: int, seconds: float, seed: int, tell: Callable[[Found], None]
) -> tuple[int, int, list[bytes]]:
    """Fuzz a door with Atheris, in a process of its own.

    Args:
        surface: the door.
        inputs: at most.
        seconds: at most.
        seed: of chance.
        tell: called, in that process, with each finding of a new kind.

    Returns:
        How many inputs were read, how many kinds of findings there were, and the inputs that took
        new branches.
    """
    import atheris

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-corpus-"))
        counts = stack.enter_context(mmap.mmap(-1, _COUNTS.size))
        # What a door imports is instrumented while it is warmed up.
        with atheris.instrument_imports(include=["resnet_deploy"]):
            door = stack.enter_context(Door(surface, Watch()))
        for index, data in enumerate((*surface.seeds(), *corpus_of(surface))):
            Path(folder, f"seed-{index}").write_bytes(data)
        child = os.fork()  # libFuzzer ends the process that it runs in
        if not child:
            _run(door, folder, counts, (inputs, seconds, seed), tell)
        os.waitpid(child, 0)
        done, bad = _COUNTS.unpack(counts[:])
        return done, bad, [path.read_bytes() for path in sorted(Path(folder).iterdir())]


def _run(
    door: Door,
    folder: str,
    counts: mmap.mmap,
    limits: tuple[int, float, int],
    tell: Callable[[Found], None],
) -> None:
    import atheris

    kinds: set[str] = set()
    surface = door.surface

    def read(data: bytes) -> None:
        done, _ = _COUNTS.unpack(counts[:])
        what = door.read(data)
        if what is not None and (kind := what.partition(":")[0]) not in kinds:
            kinds.add(kind)
            tell(Found(surface.name, what, data))
        counts[:] = _COUNTS.pack(done + 1, len(kinds))

    def change(data: bytes, most: int, number: int) -> bytes:
        chance = random.Random(number)
        if chance.random() < 0.5:
            changed: bytes = atheris.Mutate(data, most)
            return changed
        return mutated([data], chance)[:most]

    inputs, seconds, seed = limits
    options = {
        "runs": min(inputs, 2**31 - 1),
        "max_total_time": max(1, round(seconds)),
        "seed": seed + 1,
        "max_len": max(LARGEST, *map(len, surface.seeds())),
        "rss_limit_mb": 0,
        "verbosity": 0,
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], folder, *flags], read, custom_mutator=change)
    atheris.Fuzz()
