"""Datasets on web servers, and that nothing tells what is secret in their URLs."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.places import expanded, place_of
from resnet_deploy.data.remote import Remote
from resnet_deploy.data.web import names_in
from resnet_deploy.errors import (
    CheckFailed,
    DatasetError,
    MissingDependencyError,
    last_line,
    one_line,
    verdict_on,
)
from resnet_deploy.visible import without_secrets
from tests.support.cli import refused, run
from tests.support.object_store import forget
from tests.support.web_server import PASSWORD, SIGNATURE, USER, web_server

SIGNED = f"?X-Amz-Signature={SIGNATURE}"


def _png(red: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (red, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    root = tmp_path_factory.mktemp("site")
    for number, name in enumerate(("pets/cat/1 a.png", "pets/dog/2%.png", "pets/dog/deep/3.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(_png(number))
    for number in (8, 9, 10):
        table = pa.table({"image": [_png(number)] * 5, "label": [0, 1, 2, 3, number % 4]})
        parquet.write_table(table, root / f"pets-{number}.parquet")
    return root


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, web_server(site) as made:
        patch.setattr("resnet_deploy.data.asking._WAITS", (0.01,))
        forget()
        yield made
    forget()


def test_class_folders_by_a_servers_lists_of_links(site, address):
    here, there = (open_dataset(place_of(f"{at}/pets")) for at in (site, f"http://{address}"))
    assert there.name == here.name == "pets"
    assert list(there.names) == list(here.names)  # type: ignore[attr-defined]
    assert [there.image(index).getpixel((0, 0)) for index in range(3)] == [
        (0, 0, 0),
        (1, 0, 0),
        (2, 0, 0),
    ]


def test_parquet_by_url_and_ranges_of_names(site, address):
    one = open_dataset(place_of(f"http://{address}/pets-8.parquet"))
    assert (len(one), one.label(4), one.image(0).getpixel((0, 0))) == (5, 0, (8, 0, 0))
    for at in (site, f"http://{address}"):
        several = open_dataset(place_of(f"{at}/pets-{{8..10}}.parquet"))
        assert (len(several), several.label(14)) == (15, 2)
        assert several.image(14).getpixel((0, 0)) == (10, 0, 0)
        with pytest.raises(DatasetError, match=r"pets-11.parquet does not exist, and"):
            open_dataset(place_of(f"{at}/pets-{{8..11}}.parquet"))
    folder = open_dataset(place_of(f"http://{address}/"))
    assert len(folder) == 15
    assert folder.fingerprint() != several.fingerprint() != one.fingerprint()


def test_a_page_of_links_leads_nowhere_else():
    page = b"""<a href="?C=N;O=D">Name</a> <a href='../'>up</a> <a href=/x/y/b.png>b</a>
        <A HREF="a%20b.png">a</A> <a href="sub/">sub</a> <a href="sub/deep.png">d</a> <a>none</a>
        <a href="http://host/x/y/c.png#part">c</a> <a href="http://other/x/y/d.png">d</a>
        <a href="//[bad/e.png">e</a> <a href="%2e%2e/">up</a> <a href="f%00.png">f</a> <a href="g"""
    assert names_in(page, "http://host/x/y/") == {"b.png": False, "a b.png": False, "sub": True}


@pytest.mark.parametrize("page", [b"<![if", b"<![x y]>", b"<!DOCTYPE [<!x>"])
def test_a_page_that_is_none_is_one_line(page):
    found: dict[str, bool] | str
    try:
        found = names_in(b"<a href=a.png>" + page, "http://u:secret@host/")
    except DatasetError as error:  # whether it is raised depends on the release of Python
        found = str(error)
    assert found == {"a.png": False} or "page of links can't be read (" in found
    assert "secret" not in found


def test_a_server_that_sends_another_part_is_noticed(site, monkeypatch):
    """Of an archive that would be another picture."""

    def beginning(handler: Any) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes 0-3/100")
        handler.send_header("Content-Length", "4")
        handler.end_headers()
        handler.wfile.write(b"abcd")

    with web_server(site) as address:
        monkeypatch.setattr("tests.support.web_server._Handler.do_GET", beginning)
        place = place_of(f"http://{address}/a.tar")
        assert isinstance(place, Remote)
        assert place.read(0, 4) == b"abcd"
        with pytest.raises(DatasetError, match="sends another part of it"):
            place.read(50, 54)


def test_a_server_that_sends_whole_files_is_not_read_to_their_end(site, monkeypatch):
    sent: list[int] = []

    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1 << 16):
                sent.append(handler.wfile.write(bytes(1 << 16)))

    with web_server(site) as address:
        place = place_of(f"http://{address}/endless")
        monkeypatch.setattr("tests.support.web_server._Handler.do_GET", endless)
        assert place.read(0, 1000) == bytes(1000)  # type: ignore[union-attr]
        with pytest.raises(DatasetError, match="whole files and no parts"):
            place.read(1000, 2000)  # type: ignore[union-attr]
    assert sum(sent) < 64 << 20


def test_ranges():
    names = [place.name for place in expanded(Path("a/{09..11}-{1..2}.tar"))]
    assert names == ["09-1.tar", "09-2.tar", "10-1.tar", "10-2.tar", "11-1.tar", "11-2.tar"]
    assert expanded(Path("a/{1..1}.tar")) == (Path("a/1.tar"),)
    for text in ("{2..1}.tar", "{0..100000}.tar", "{0..999}{0..999}.tar"):
        with pytest.raises(DatasetError, match="is not a range of at most"):
            expanded(Path(text))


def test_what_is_no_range_of_numbers():
    """Python reads no numbers of thousands of digits; nobody has so many files."""
    for name in (f"{{0..{'9' * 5000}}}.tar", "{\u0660..\u0663}.tar", "{a..c}.tar"):
        assert expanded(place_of(f"http://host/{name}")) == (place_of(f"http://host/{name}"),)


def test_a_file_url_is_a_path(site):
    assert place_of(f"file://{site}/a%20b") == site / "a b"
    with pytest.raises(DatasetError, match="file:// names no place"):
        place_of("file://")  # not the folder in which the command runs


def test_what_is_not_there_or_not_installed(address, monkeypatch, site):
    with pytest.raises(DatasetError, match=r"/none does not exist"):
        open_dataset(place_of(f"http://{address}/none"))
    with pytest.raises(DatasetError, match="can't be reached"):
        open_dataset(place_of("http://127.0.0.1:9/pets"))
    with pytest.raises(DatasetError, match=r"is not a folder of images, parquet or \.tar"):
        open_dataset(place_of(f"http://{address}/pets/cat/1%20a.png"))
    for url, package in (("gs://bucket/x", "gcsfs"), ("hf://datasets/a/b", "huggingface_hub")):
        monkeypatch.setitem(sys.modules, package, None)
        forget()
        with pytest.raises(MissingDependencyError, match=f"pip install fsspec {package}"):
            open_dataset(place_of(url))


def test_a_name_that_is_not_in_utf_8(tmp_path):
    """Old archives were unpacked with names in Latin-1; they are the same here and there."""
    (tmp_path / "cat").mkdir()
    name = b"cat/ete\xe9.png"
    Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(_png(3))
    with web_server(tmp_path) as address:
        found = open_dataset(place_of(f"http://{address}"))
        assert found.image(0).getpixel((0, 0)) == (3, 0, 0)
    page = b"<a href='ete%E9.png'>"
    assert names_in(page, "http://h/") == {os.fsdecode(b"ete\xe9.png"): False}
    place = place_of("http://h") / os.fsdecode(b"ete\xe9.png")
    assert (str(place), place.name) == ("http://h/ete%E9.png", os.fsdecode(b"ete\xe9.png"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@host/a?b=c: no", "https://***@host/a?***: no"),
        ("https://u:p'w\"@host/a?b='c'&d", "https://***@host/a?***"),
        ("https://u:p/w+x?y#z@host/a b", "https://***@host/a b"),
        ("https:/u:p@host/a?b", "https:/***@host/a?***"),
        ("s3://KEY:a/b@bucket/c", "s3://***@bucket/c"),
        ("see https://host:80, http://[::1]:9/a@b", "see https://host:80, http://[::1]:9/a@b"),
        ("C:/users/u:p@host", "C:/users/u:p@host"),
        ("(https://u:p@host/a?b)", "(https://***@host/a?***)"),
        ("https://host/a@b.png", "https://host/a@b.png"),
        ("url='https://host/a?b=c', x", "url='https://host/a?***', x"),
        ("s3://bucket/a@b.png and http://host:80/x", "s3://bucket/a@b.png and http://host:80/x"),
        ("--data=http://u@[::1]:9/#frag", "--data=http://***@[::1]:9/?***"),
        ("a key wJalrXUtnFEMI/K7MDENG", "a key ***"),
        ("no URL at all, a@b ?", "no URL at all, a@b ?"),
    ],
)
def test_what_is_secret_is_left_out(text, shown, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    assert without_secrets(text) == shown


def test_half_a_secret_is_left_out_as_well(monkeypatch):
    """What is too long is cut, and a URL without its end would not look like one."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    for secret in (f"https://{USER}:{PASSWORD}@host/x", "wJalrXUtnFEMI/K7MDENG"):
        for before in range(250, 300):
            for said in (
                one_line(f"{'x' * before} {secret}"),
                last_line(f"a\n{'x' * before} {secret}"),
                verdict_on(DatasetError(f"{'x' * (before + 1700)} {secret}"))[1],
            ):
                assert USER not in said
                assert "wJal" not in said


def test_what_a_result_may_hold_of_an_error():
    url = f"https:/{USER}:{PASSWORD}@host/x"
    assert str(DatasetError(url)) == str(pickle.loads(pickle.dumps(DatasetError(url))))
    assert "".join(traceback.format_exception(DatasetError(url))).endswith(": https:/***@host/x\n")
    for error in (CheckFailed(url), MissingDependencyError(url), FileNotFoundError(2, "no", url)):
        assert verdict_on(error)[1].replace("no (", "").rstrip(")") == "https:/***@host/x"


@pytest.mark.parametrize("word", ["p/w", "p?w", "p#w"])
def test_a_password_that_is_not_written_as_in_a_url(word):
    with pytest.raises(
        DatasetError, match=r"^https://\*\*\*@host/x has a port .* / as %2F"
    ) as told:
        place_of(f"https://user:{word}@host/x")
    assert word not in str(told.value)


@pytest.mark.parametrize("host", ["host", "host:80", "[::1]:80", "[::1]", "u:p@host:80", "u@[::1]"])
def test_hosts_and_ports(host):
    assert isinstance(place_of(f"https://{host}/x"), Remote)


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "URL", "--data", "x"),
        ("summary", "URL"),
        ("export", "--weights", "random", "-o", "URL"),
        ("deploy", "--matrix", "URL"),
    ],
)
def test_a_url_is_no_path(words, tmp_path, monkeypatch):
    """As one it would be a folder called ``https:``, and its password the name of one in it."""
    monkeypatch.chdir(tmp_path)
    url = f"https://{USER}:{PASSWORD}@host/x"
    told = run(*(url if word == "URL" else word for word in words))
    assert told.exit_code == 2
    assert "https://***@host/x is a URL, and only pictures are read from elsewhere" in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_no_path(tmp_path, monkeypatch):
    """``--data "$DATA"`` where nobody has set it: not the pictures in the folder it runs in."""
    monkeypatch.chdir(tmp_path)
    for words in (("evaluate", "net.onnx", "--data", ""), ("export", "-o", ""), ("summary", "")):
        told = run(*words)
        assert told.exit_code == 2
        assert "it is empty: name a path, or leave the option out" in told.stderr
    assert "--weights is empty: name a checkpoint" in run("export", "--weights", "").stderr
    with pytest.raises(DatasetError, match="is empty"):
        place_of("")


def test_no_writer_tells_a_password_or_a_signature(
    site, tmp_path, tiny_export, caplog, monkeypatch
):
    """Cards, JSON, pages, tables, logs, terminals and errors."""
    caplog.set_level(logging.DEBUG, logger="resnet_deploy")
    tiny_file, int8 = tmp_path / "tiny.onnx", tmp_path / "int8.onnx"
    shutil.copy(tiny_export / "resnet8.onnx", tiny_file)

    def ran(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["resnet-deploy", *map(str, words)])
        return run(*words)

    with web_server(site, secret=True) as address:
        url = f"http://{USER}:{PASSWORD}@{address}/pets-{{8..10}}.parquet{SIGNED}"
        outputs = [tmp_path / f"out.{kind}" for kind in ("json", "html", "csv", "md")]
        flags = ("--json", "--report", "--csv", "--markdown")
        written = [word for pair in zip(flags, outputs, strict=True) for word in pair]
        said = [ran("evaluate", "-v", tiny_file, "--data", url, "--record", *written)]
        assert said[0].exit_code == 0, said[0].output
        said.append(
            ran("quantize", "-v", tiny_file, "--calibration", url, "-o", int8, "--no-verify")
        )
        assert said[1].exit_code == 0, said[1].output
        for wrong in (
            url.replace(PASSWORD, "another-password-here"),
            url.replace("/pets-", "/none-"),
            url.replace("{8..10}", "8").replace("pets-8.parquet", "pets/cat/1%20a.png"),
            url.replace("http://", "https://"),
            url.replace("http://", "sftp://"),
            url.replace("http://", "s3://"),
        ):
            forget()
            said.append(ran("evaluate", "-v", tiny_file, "--data", wrong))
            refused(said[-1])
        assert "access is denied" in said[2].stderr
        assert "does not exist" in said[3].stderr
    texts = [result.output + result.stderr for result in said]
    texts += [path.read_text() for path in outputs]
    texts += [str(load(path).card) for path in (tiny_file, int8)]
    texts += [path.read_bytes().decode("latin-1") for path in (tiny_file, int8)]
    texts += [without_secrets(record.getMessage()) for record in caplog.records]
    for text in texts:
        for secret in (USER, PASSWORD, SIGNATURE, "another-password-here"):
            assert secret not in text
    recorded = json.loads(outputs[0].read_text())
    assert "***@127.0.0.1" in json.dumps(recorded)
