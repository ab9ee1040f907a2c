"""The commands of the node bundle's README, as they stand there, and the server of its examples."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.spec import BundleTarget
from tests.support.markdown import blocks
from tests.support.npm import ci, find_node, run

SERVER = "node examples/server.mjs --port 8080"


@pytest.fixture(scope="module")
def bundle(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle after ``npm ci``, its packages its own."""
    find_node()
    folder = tmp_path_factory.mktemp("node") / "bundle"
    pack(tiny_export / "resnet8.onnx", BundleTarget.NODE, folder)
    ci(folder)
    packages = (folder / "node_modules").readlink()
    (folder / "node_modules").unlink()
    shutil.copytree(packages, folder / "node_modules", copy_function=linked)
    return folder


def linked(source: str, target: str) -> None:
    """Make ``target`` the same file as ``source``, or a copy where that can't be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def test_the_commands_work_as_they_stand(bundle: Path) -> None:
    first, server, trim = blocks(bundle / "README.md", "sh")
    commands = first.splitlines()
    # The first one is what the fixture did.
    assert commands[0] == "npm ci"
    for command in commands[1:]:
        said = run(["bash", "-c", command], bundle).stdout
    assert said.startswith("golden/")
    start, ask = server.splitlines()
    assert start == SERVER
    with serving(bundle) as site:
        said = run(["bash", "-c", ask.replace("8080", str(site.port))], bundle).stdout
        assert len(json.loads(said)["classes"]) == 3
    said = run(["bash", "-c", trim], bundle).stdout
    before, after = map(int, re.findall(r"(\d+) MB (?:before|now)", said))
    assert after < before / 3
    # What is left is enough, and one can't take from it what it does not have.
    assert "PASS 7 cases" in run(["npm", "test"], bundle).stdout
    done = run(["node", "trim.mjs", "--platform", "aix"], bundle, expect=2)
    assert done.stderr.startswith("nothing is there for aix-")
    (script,) = (block for block in blocks(bundle / "README.md", "js") if "'./index.mjs'" in block)
    said = run(["node", "--input-type=module", "--eval", script], bundle).stdout
    assert said.endswith("]\n2\n")


@dataclass
class Site:
    """The server of the examples: its port and its process."""

    port: int
    process: subprocess.Popen[str]
    stopped: bool = False

    def stop(self) -> None:
        """Ask it to end, once: the second time it would obey at once."""
        if not self.stopped:
            self.process.send_signal(signal.SIGTERM)
        self.stopped = True

    def post(self, body: bytes, path: str = "/classify", **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextlib.contextmanager
def serving(bundle: Path, *options: str, errors: str = "") -> Iterator[Site]:
    """The server on a free port; it must end well when it is asked to.

    ``errors`` matches what each of its workers may say on stderr, once.
    """
    process = subprocess.Popen(
        [find_node(), "examples/server.mjs", "--port", "0", "--workers", "2", *options],
        cwd=bundle,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        try:
            line = process.stdout.readline()
            found = re.fullmatch(
                r"http://127\.0\.0\.1:(\d+)/classify, 2 workers of 1 thread\n", line
            )
            assert found is not None, line or process.communicate()[1]
            site = Site(int(found[1]), process)
            yield site
            site.stop()
            rest, said = process.communicate(timeout=60)
            assert (process.returncode, rest) == (0, "all requests are answered: bye\n"), said
            assert re.fullmatch(f"({errors}){{1,2}}", said)
        finally:
            process.kill()


def test_who_never_sends_the_rest_does_not_hold_up_the_end(bundle: Path) -> None:
    picture = (bundle / "golden/photo-like.ppm").read_bytes()
    head = f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    with serving(bundle) as site, contextlib.ExitStack() as end:
        begun, late, no_head = (
            end.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=20))
            for _ in range(3)
        )
        begun.sendall(head + picture[:-1])
        late.sendall(head + picture[:-1])
        no_head.sendall(head[:20])
        assert site.post(picture)[0] == 200  # so those have come as well
        start = time.monotonic()
        site.stop()
        begun.sendall(picture[-1:])
        assert begun.recv(100).startswith(b"HTTP/1.1 200 ")
        assert late.recv(100).startswith(b"HTTP/1.1 408 ")
        assert no_head.recv(100) == b""
        assert time.monotonic() - start < 15


def test_the_server_answers_refuses_and_goes_on(bundle: Path) -> None:
    picture = (bundle / "golden/photo-like.ppm").read_bytes()
    recorded = json.loads((bundle / "manifest.json").read_text())["golden"]
    (case,) = (case for case in recorded if case["picture"] == "golden/photo-like.ppm")
    with serving(bundle) as site:
        status, best = site.post(picture, "/classify?top=1")
        assert status == 200
        assert best["classes"][0]["index"] == case["answers"][0]["top1"]
        with Image.open(bundle / "golden/photo-like.ppm") as image:
            image.save(bundle.parent / "same.png")
        assert site.post((bundle.parent / "same.png").read_bytes(), "/classify?top=1")[1] == best
        assert site.post(b"no picture")[0] == 400
        # A form, as many clients send it, and what the server was not given a decoder for.
        form = site.post(b"--x", **{"Content-Type": "multipart/form-data; boundary=x"})
        assert form[0] == 415
        assert "no form" in form[1]["error"]
        assert site.post(picture, "/classify?top=-1")[0] == 400
        assert site.post(picture, "//")[0] == 404
        # Nobody waits for the rest of what is too much.
        status, said = site.post(b"P6", **{"Content-Length": "99999999999"})
        assert (status, said) == (413, {"error": "send at most 32000000 bytes"})
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
        connection.request("POST", "/classify", (b"x" * 1_000_000 for _ in range(40)))
        assert connection.getresponse().status == 413
        connection.close()
        # One that goes away before it has said all.
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
        connection.putrequest("POST", "/classify")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"P6")
        connection.close()
        # Many at once: each gets the classes, or is told to come back.
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(site.post(picture)[0])) for _ in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) <= {200, 503}
        assert found.count(200) >= 2
        assert site.post(picture)[0] == 200


def test_who_asks_is_not_told_what_the_operator_must_install(bundle: Path) -> None:
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8)).save(jpeg, "JPEG")
    with serving(bundle, errors=r"the picture is a JPEG file, .*: npm install sharp\n") as site:
        said = [site.post(jpeg.getvalue()) for _ in range(2)]
    assert said == [(400, {"error": "this server does not read JPEG files: send a PNG"})] * 2


def test_nobody_reads_what_is_printed(bundle: Path) -> None:
    pictures = " ".join(["golden/photo-like.ppm"] * 40)
    command = f"node classify.mjs {pictures} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = run(["bash", "-c", command], bundle)
    assert (done.stdout, done.stderr) == ("golden/photo-like.ppm\n0\n", "")


def test_no_name_moves_the_cursor_of_a_terminal(bundle: Path) -> None:
    labels = (bundle / "labels.txt").read_text(encoding="utf-8")
    try:
        hostile = labels.replace("\n", "\x1b[2J\u202e\n")
        (bundle / "labels.txt").write_text(hostile, encoding="utf-8")
        said = run(["node", "classify.mjs", "golden/photo-like.ppm"], bundle).stdout
    finally:
        (bundle / "labels.txt").write_text(labels, encoding="utf-8")
    assert "[2J" in said
    assert not {"\x1b", "\u202e"} & set(said)


def test_the_server_ends_once_what_runs_is_answered(bundle: Path) -> None:
    picture = (bundle / "golden/photo-like.ppm").read_bytes()
    with serving(bundle) as site:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
        connection.putrequest("POST", "/classify")
        connection.putheader("Content-Length", str(len(picture)))
        connection.endheaders(picture[:10])
        assert site.post(picture)[0] == 200  # so the one above has begun
        site.stop()
        with contextlib.suppress(ConnectionError):  # as soon as no new ones are taken
            while True:
                site.post(picture)
        connection.send(picture[10:])
        answer = connection.getresponse()
        assert (answer.status, len(json.loads(answer.read())["classes"])) == (200, 5)
        connection.close()


def test_a_server_that_can_not_start_says_why(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = run([find_node(), "examples/server.mjs", "--port", "0"], folder, expect=2)
    assert done.stderr == f'onnxruntime-node is not installed: run "npm ci" in {folder}/\n'
