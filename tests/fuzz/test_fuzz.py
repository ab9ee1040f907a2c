"""A short run of the fuzzer, the same at every time, and all that it ever found."""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_deploy.errors import DatasetError
from tests.fuzz.coverage import Coverage
from tests.fuzz.doors import SURFACES, Surface
from tests.fuzz.loop import CORPUS, LARGEST, Door, Found, findings
from tests.fuzz.record import PAGE, table
from tests.fuzz.watch import Watch

INPUTS = 100

WATCH = Watch()


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_found_at_this_door(name):
    with Door(SURFACES[name], WATCH) as door:
        found = list(findings(door, inputs=INPUTS, seconds=60, seed=0))
    assert not [(each.what, each.data[:60]) for each in found if isinstance(each, Found)]
    assert found == [INPUTS]


def test_the_corpus_is_small_and_of_doors_that_there_are():
    folders = {path.name for path in CORPUS.iterdir()}
    assert folders <= set(SURFACES)
    assert all(path.stat().st_size <= LARGEST for path in CORPUS.glob("*/*"))


def test_the_page_has_the_recorded_figures():
    assert table() in PAGE.read_text(encoding="utf-8")


def _told(_):
    raise DatasetError("one line")


class _TwoLinesError(DatasetError):
    def __str__(self):
        return "two\nlines"


def _several_lines(_):
    raise _TwoLinesError


def _grows(_):
    bytearray(3 << 30)


def _tells_of_memory(_):
    try:
        bytearray(3 << 30)
    except MemoryError as error:
        raise DatasetError("it is damaged") from error


def _writes(path):
    path.with_name("other").write_bytes(b"")


def _writes_elsewhere(path):
    path.parents[1].joinpath("other").write_bytes(b"")


def _reads_elsewhere(_):
    Path("/etc/passwd").read_bytes()


def _lists_elsewhere(_):
    list(Path("/etc").iterdir())


def _imports_by_a_name(path):
    importlib.import_module(path.read_text())


def _imports_by_its_source(_):
    import this_is_no_module  # type: ignore[import-not-found]  # noqa: F401


def _evaluates(path):
    eval(path.read_text())


def _unpickles(_):
    pickle.loads(pickle.dumps(Path))


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (_told, None),
        (_several_lines, "an error of several lines"),
        (_grows, "more than 2 GiB"),
        (_tells_of_memory, "more than 2 GiB"),
        (lambda _: "".index("a"), "ValueError"),
        (_writes, "a file is written"),
        (_writes_elsewhere, "a file is written"),
        (_reads_elsewhere, "a file outside is read"),
        (_lists_elsewhere, "a folder outside is listed"),
        (lambda _: os.system("true"), "os.system"),
        (_imports_by_a_name, "marshal.loads"),
        (_imports_by_its_source, "ModuleNotFoundError"),
        (_evaluates, "compile"),
        (_unpickles, "a pickle names"),
    ],
)
def test_the_watch_sees_what_it_is_for(read, what):
    surface = Surface(name="x", file="x", seeds=list, read=read, modules=())
    with Door(surface, WATCH) as door:
        found = door.read(b"this")
    assert found is None if what is None else str(found).startswith(what)


def test_a_door_that_writes_may_do_so_in_its_folder_alone():
    for read, what in ((_writes, None), (_writes_elsewhere, "a file is written")):
        surface = Surface(name="x", file="x", seeds=list, read=read, modules=(), writes=True)
        with Door(surface, WATCH) as door:
            found = door.read(b"")
        assert found is None if what is None else str(found).startswith(what)


def test_the_kernel_tells_what_python_does_not_see():
    library = ctypes.CDLL(None)

    def read(path):
        library.close(library.open(os.fsencode(path.parents[1] / "x"), 0))

    surface = Surface(name="x", file="x", seeds=list, read=read, modules=())
    with Door(surface, WATCH) as door:
        assert "file outside is touched: 'x'" in str(door.read(b""))


def test_the_watch_ends_what_takes_too_long(monkeypatch):
    monkeypatch.setattr("tests.fuzz.watch.SECONDS", 0.2)

    def read(_: object) -> None:
        while True:
            pass

    surface = Surface(name="x", file="x", seeds=list, read=read, modules=())
    with Door(surface, WATCH) as door:
        assert str(door.read(b"")).startswith("more than 0.2 s")


def test_an_input_that_reaches_new_lines_is_changed_further():
    surface = replace(SURFACES["labels"], name="x", seeds=lambda: [b"cat\ndog\n", b'["cat"]'])
    coverage = Coverage(surface)
    kept: list[bytes] = []
    with Door(surface, WATCH, coverage) as door:
        assert not coverage.seen
        for data in surface.seeds():
            door.read(data)
        before = coverage.share
        list(findings(door, inputs=400, seconds=60, seed=1, reached=kept.append))
    assert 0.1 < before < coverage.share <= 1
    assert kept
    assert all(":" in line for line in coverage.missing())
