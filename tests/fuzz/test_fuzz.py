"""A short run of the fuzzer, the same at every time, and all that it ever found."""

from __future__ import annotations

import pytest

from resnet_deploy.errors import DatasetError
from tests.fuzz.loop import Found, corpus_of, findings, read_one
from tests.fuzz.surfaces import SURFACES, Surface
from tests.fuzz.watch import Watch

INPUTS = 150

WATCH = Watch()


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_found_at_this_door(name):
    surface = SURFACES[name]
    for data in (*surface.seeds(), *corpus_of(surface)):
        assert read_one(surface, data, WATCH) is None
    found = list(findings(surface, inputs=INPUTS, seconds=60, seed=0, watch=WATCH))
    assert not [each.what for each in found if isinstance(each, Found)]
    assert found == [INPUTS]


def _told() -> None:
    raise DatasetError("one line")


def _several_lines() -> None:
    raise DatasetError("two\nlines")


def _grows() -> None:
    bytearray(3 << 30)


def _writes(path) -> None:
    path.with_name("other").write_bytes(b"")


def _imports_what_it_was_told(path) -> None:
    __import__("os").system("true")


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda _: _told(), None),
        (lambda _: _several_lines(), "an error of several lines"),
        (lambda _: _grows(), "more than 2 GiB"),
        (lambda _: "".index("a"), "ValueError"),
        (_writes, "a file is written"),
        (_imports_what_it_was_told, "os.system"),
    ],
)
def test_the_watch_sees_what_it_is_for(read, what):
    surface = Surface(name="x", file="x", seeds=lambda: [b""], read=read)
    found = read_one(surface, b"", WATCH)
    assert found is None if what is None else str(found).startswith(what)


def test_the_watch_ends_what_takes_too_long(monkeypatch):
    monkeypatch.setattr("tests.fuzz.watch.SECONDS", 0.2)

    def read(_: object) -> None:
        while True:
            pass

    surface = Surface(name="x", file="x", seeds=lambda: [b""], read=read)
    assert str(read_one(surface, b"", WATCH)).startswith("more than 0.2 s")
