"""The C++ bundle: compiled by this machine's compiler, run, compared with Python, and abused.

Long because one build, which takes half a minute, serves all of it.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.data.images import read_image, to_rgb
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.runners.openvino_runner import OpenVinoRunner
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import InputFormat, SessionSpec
from tests.support.contracts import square
from tests.support.cpp_bundle import SNIPPETS_PICTURE, Built, build, commands_of, snippet
from tests.support.homes import empty_home, left_in
from tests.support.native_classifier import (
    BAD_ARGUMENT,
    BAD_BUNDLE,
    BAD_IMAGE,
    CallError,
    NativeClassifier,
    Pixels,
)
from tests.support.native_toolchain import STRICT, ort_root, run

NATIVE = Path(__file__).parent / "native"
TITLES = {"onnxruntime": "ONNX Runtime ", "openvino": "OpenVINO "}


@pytest.fixture(scope="module")
def ort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ort_root(tmp_path_factory.mktemp("ort"))


@pytest.fixture(scope="module")
def built(
    resnet20_export: Path,
    cifar_pictures: Pixels,
    ort: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    folder = tmp_path_factory.mktemp("cpp") / "a bundle"
    return build(resnet20_export / "resnet20.int8.onnx", folder, ort)


@pytest.fixture
def classifier(built: Built) -> Iterator[NativeClassifier]:
    with closing(NativeClassifier(built.library, built.folder)) as opened:
        yield opened


def copy_of(built: Built, folder: Path) -> Path:
    """Return a copy of what a classifier opens."""
    folder.mkdir()
    for name in ("model.onnx", "labels.txt"):
        shutil.copy(built.folder / name, folder)
    return folder


def opening_error(library: Path, folder: Path) -> CallError:
    with pytest.raises(CallError) as error:
        NativeClassifier(library, folder)
    return error.value


def test_three_commands_from_the_readme_to_a_pass(built: Built) -> None:
    assert built.report.commands == commands_of(built.folder / "README.md")
    assert len(built.report.commands) == 3
    passes = [line for line in built.said.splitlines() if line.startswith("PASS ")]
    assert len(passes) == 2
    for line, name in zip(passes, ("ONNX Runtime", "OpenVINO"), strict=True):
        assert line.startswith(f"PASS model.onnx: {built.report.cases} cases, inputs equal")
        assert re.search(rf"classes equal in all .*; {name} \d+\.\d+\.\d+$", line)


def test_onnxruntime_has_nothing_to_send(built: Built, tmp_path: Path) -> None:
    """Its telemetry begins with files: an identifier of the machine and a queue of events."""
    command = ["build/selftest", "."]
    subprocess.run(
        command, cwd=built.folder, env=empty_home(tmp_path), capture_output=True, check=True
    )
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("runtime", "runner"), [("onnxruntime", OrtRunner), ("openvino", OpenVinoRunner)]
)
def test_200_pictures_get_pythons_class(
    runtime: str,
    runner: type[OrtRunner] | type[OpenVinoRunner],
    built: Built,
    cifar_pictures: Pixels,
) -> None:
    """One by one, and in a batch."""
    spec = square(32, form=InputFormat.UINT8_NHWC)
    worst = 0.0
    session = SessionSpec(threads=1, spin=False)
    with (
        closing(NativeClassifier(built.library, built.folder, runtime=runtime)) as classifier,
        closing(runner(built.folder / "model.onnx", session)) as python,
    ):
        assert classifier.notice == ""
        assert classifier.runtime.startswith(TITLES[runtime])
        batch = classifier.classify_batch(list(cifar_pictures[:39]), k=10)
        for number, picture in enumerate(cifar_pictures):
            expected = python.infer(prepare(Image.fromarray(picture), spec)[None])[0]
            found = classifier.scores(picture)
            worst = max(worst, float(abs(found - expected).max() / abs(expected).max()))
            assert classifier.classify(picture)[0].index == int(expected.argmax())
            if number < len(batch):
                again = np.empty_like(found)
                for named in batch[number]:
                    again[named.index] = named.score
                worst = max(worst, float(abs(again - found).max() / abs(found).max()))
    assert worst <= max(bound.tolerance for bound in built.report.runtimes)


def test_a_wrong_picture_in_a_batch_is_named(
    classifier: NativeClassifier, cifar_pictures: Pixels
) -> None:
    pictures = [*cifar_pictures[:10], np.zeros((1, 1_000_000, 3), np.uint8), *cifar_pictures[:3]]
    with pytest.raises(CallError, match=r"^picture 10: .*too elongated") as error:
        classifier.classify_batch(pictures)
    assert error.value.code == BAD_IMAGE
    assert classifier.classify_batch([]) == []
    with pytest.raises(CallError, match="room for a class"):
        classifier.classify_batch(list(cifar_pictures[:2]), k=0)


@pytest.mark.parametrize("threads", [100_000, 2**31 - 1, -1])
def test_threads_are_bounded(threads: int, built: Built) -> None:
    with pytest.raises(
        CallError, match=rf"^threads cannot be {threads}: use 1 to \d+, or 0 for"
    ) as error:
        NativeClassifier(built.library, built.folder, threads=threads)
    assert error.value.code == BAD_ARGUMENT


def test_another_runtime_is_refused(built: Built) -> None:
    with pytest.raises(CallError, match="does not run on tensorrt: leave the runtime out") as error:
        NativeClassifier(built.library, built.folder, runtime="tensorrt")
    assert error.value.code == BAD_ARGUMENT


def test_a_runtime_that_is_missing_is_said_and_the_other_runs(built: Built) -> None:
    selftest = [str(built.folder / "build/selftest")]
    module = built.folder / "build/libresnet_openvino.so"
    libraries = built.ort / "lib"
    hidden = {module: module.with_suffix(".hidden"), libraries: built.ort / "hidden"}
    try:
        module.rename(hidden[module])
        passed, absent = run(selftest, built.folder).splitlines()
        assert re.match("PASS .*; ONNX Runtime ", passed)
        assert absent.startswith("not tested with model.onnx: OpenVINO is not there: libresnet_op")
        libraries.rename(hidden[libraries])
        done = subprocess.run(selftest, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "")
        assert re.fullmatch(
            "FAIL ONNX Runtime is not there: libonnxruntime.so.1 is neither .*; "
            "OpenVINO is not there: .*\n",
            done.stdout,
        )
        hidden[module].rename(module)
        passed, absent = run(selftest, built.folder).splitlines()
        assert re.match("PASS .*; OpenVINO ", passed)
        assert absent.startswith("not tested with model.onnx: ONNX Runtime is not there: ")
        picture = str(built.folder / "golden/as-is.ppm")
        done = subprocess.run(
            [str(built.folder / "build/classify"), picture],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0
        assert re.fullmatch("OpenVINO .* runs the network: ONNX Runtime is not .*\n", done.stderr)
    finally:
        for place, elsewhere in hidden.items():
            if elsewhere.exists():
                elsewhere.rename(place)


def test_selftest_explains_itself(built: Built) -> None:
    selftest = str(built.folder / "build/selftest")
    assert run([selftest, "--help"], built.folder).startswith("usage: selftest [FOLDER")
    for wrong in (["--verbose"], ["a", "b"]):
        done = subprocess.run([selftest, *wrong], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("usage: selftest [FOLDER")


def test_predictions_are_sorted_and_labelled(
    classifier: NativeClassifier, built: Built, cifar_pictures: Pixels
) -> None:
    picture = cifar_pictures[0]
    labels = (built.folder / "labels.txt").read_text().splitlines()

    every = classifier.classify(picture, k=99)

    assert sorted(one.index for one in every) == list(range(10))
    assert [one.score for one in every] == sorted((one.score for one in every), reverse=True)
    assert sum(one.probability for one in every) == pytest.approx(1)
    assert [one.label for one in every] == [labels[one.index] for one in every]
    assert classifier.classify(picture, k=3) == every[:3]
    assert (classifier.label(-1), classifier.label(0), classifier.label(10)) == (
        None,
        labels[0],
        None,
    )


def test_same_from_memory(built: Built, classifier: NativeClassifier) -> None:
    picture = np.asarray(Image.linear_gradient("L").convert("RGB").rotate(10))
    files = tuple((built.folder / name).read_bytes() for name in ("model.onnx", "labels.txt"))
    with closing(NativeClassifier(built.library, files=(files[0], files[1]))) as other:
        assert other.classify(picture) == classifier.classify(picture)
    with pytest.raises(CallError, match="the model is damaged or of another bundle"):
        NativeClassifier(built.library, files=(b"", files[1]))


def test_bad_pictures_are_refused(classifier: NativeClassifier) -> None:
    picture = np.zeros((40, 50, 3), np.uint8)
    cases = {
        ("width", 0): "0x40 pixels has no content",
        ("height", -1): "50x-1 pixels has no content",
        ("size", picture.size - 1): "5999 bytes are too few for 50x40 RGB pixels",
        ("size", 0): "0 bytes are too few",
        ("height", 2**31 - 1): "has more than 178956970 pixels: make it smaller",
        ("stride", 149): "does not fit a stride of 149 bytes",
        ("stride", 2**63): "too few",
    }
    for (name, value), message in cases.items():
        with pytest.raises(CallError, match=message) as error:
            classifier.classify(picture, **{name: value})
        assert error.value.code == BAD_IMAGE
    with pytest.raises(CallError, match="too elongated"):
        classifier.classify(np.zeros((1, 1_000_000, 3), np.uint8))
    with pytest.raises(CallError, match="room for a class") as error:
        classifier.classify(picture, k=0)
    assert error.value.code == BAD_ARGUMENT


def test_damaged_bundles_are_refused(built: Built, tmp_path: Path) -> None:
    flipped = copy_of(built, tmp_path / "flipped")
    data = bytearray((flipped / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (flipped / "model.onnx").write_bytes(data)
    fewer = copy_of(built, tmp_path / "fewer")
    (fewer / "labels.txt").write_text("cat\ndog\n")
    missing = copy_of(built, tmp_path / "missing")
    (missing / "model.onnx").unlink()
    nested = copy_of(built, tmp_path / "nested")
    (nested / "labels.txt").unlink()
    (nested / "labels.txt").mkdir()
    for folder, message in {
        flipped: "model.onnx is damaged or of another bundle: its SHA-256",
        fewer: "labels.txt has 2 lines, but the network has 10 classes",
        missing: "model.onnx does not exist",
        nested: "labels.txt is a folder: name a file",
        tmp_path / "nowhere": "does not exist",
    }.items():
        error = opening_error(built.library, folder)
        assert error.code == BAD_BUNDLE
        assert message in str(error)


def test_old_onnxruntime_is_an_error_and_no_crash(built: Built, tmp_path: Path) -> None:
    source = tmp_path / "old.c"
    source.write_text(
        "static const void *get(unsigned version) { (void)version; return 0; }\n"
        'static const char *version(void) { return "1.11.0"; }\n'
        "static struct { const void *(*get)(unsigned); const char *(*version)(void); } base = "
        "{get, version};\n"
        "const void *OrtGetApiBase(void) { return &base; }\n"
    )
    old = tmp_path / "libonnxruntime.so.1"
    run(["gcc", "-shared", "-fPIC", "old.c", "-o", str(old)], tmp_path)
    done = subprocess.run(
        [str(built.folder / "build/selftest")],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("PASS ") == 1
    assert "ONNX Runtime 1.11.0 is too old: this model needs 1." in done.stdout


def test_selftest_tells_the_first_difference(built: Built, tmp_path: Path) -> None:
    selftest = str(built.folder / "build/selftest")

    def said(folder: Path) -> str:
        done = subprocess.run([selftest, str(folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stdout
        return done.stdout

    changed = tmp_path / "changed"
    shutil.copytree(built.folder, changed, ignore=shutil.ignore_patterns("build"))
    scores = changed / "golden/grey.model.scores"
    values = np.fromfile(scores, "<f4")
    values[3] += 0.5
    values.tofile(scores)
    assert re.match(
        r"FAIL ONNX Runtime \S+, case grey: score 3 is .*, recorded .*: .* of the largest score, "
        r"allowed 0.0001. The inputs match: .*without --allow-overflow",
        said(changed),
    )
    picture = changed / "golden/as-is.ppm"
    data = picture.read_bytes()
    picture.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    assert ", case as-is: input element 3069 is " in said(changed)
    picture.write_bytes(data[:-1])
    assert "golden/as-is.ppm is truncated: 3071 bytes for 32x32 pixels" in said(changed)
    assert said(tmp_path / "nowhere").startswith("FAIL ")


def test_classify_names_pictures(
    built: Built, classifier: NativeClassifier, tmp_path: Path
) -> None:
    program = str(built.folder / "build/classify")
    picture = built.folder / "golden/photo-like.ppm"
    lines = run([program, "--top", "3", str(picture)], tmp_path).splitlines()
    assert lines[0] == str(picture)
    assert len(lines) == 4
    assert all(re.fullmatch(r" +\d+\.\d\d %  \w+", line) for line in lines[1:])
    # The libraries were found: Python's class of a turned photo, and of one with transparency.
    photo = Image.open(picture)
    (tmp_path / "turned.jpg").write_bytes(_with_exif(photo))
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save(tmp_path / "clear.webp", lossless=True)
    for name in ("turned.jpg", "clear.webp"):
        pixels = np.asarray(to_rgb(read_image(tmp_path / name)))
        best = classifier.classify(pixels)[0]
        said = run([program, "--top", "1", name], tmp_path).splitlines()
        assert said[1].split() == [f"{100 * best.probability:.2f}", "%", best.label]


def _with_exif(photo: Image.Image) -> bytes:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    photo.save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def test_classify_says_what_is_wrong(built: Built, tmp_path: Path) -> None:
    program = str(built.folder / "build/classify")
    golden = str(built.folder / "golden/photo-like.ppm")
    (tmp_path / "truncated.ppm").write_bytes(Path(golden).read_bytes()[:100])
    usage = "usage: classify [--bundle FOLDER] [--top K] PICTURE..."
    for arguments, code, message in (
        (["truncated.ppm"], 1, "truncated.ppm is truncated: "),
        ([str(tmp_path), golden], 1, f"{tmp_path} is a folder: name the pictures in it"),
        (["nowhere.ppm"], 1, "nowhere.ppm does not exist"),
        (["--bundle", str(tmp_path), golden], 1, "model.onnx does not exist"),
        ([], 2, "name at least one picture"),
        (["--top", "many", golden], 2, "--top takes a whole number from 1 on, not 'many'"),
        (["--top", "0", golden], 2, "not '0'"),
        (["--top"], 2, "--top needs a value"),
        (["--best", "1", golden], 2, "there is no option --best"),
    ):
        done = subprocess.run(
            [program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, arguments
        assert message in done.stderr.removeprefix(f"{usage}\n"), done.stderr
        assert done.stderr.startswith(usage) is (code == 2)
        # A picture that is right is named beside one that is wrong.
        assert done.stdout.startswith(golden) is (
            golden in arguments and code == 1 and len(arguments) == 2
        )
    said = run([program, "--help"], tmp_path)
    assert said.startswith(usage)
    assert "Reads JPEG, PNG, WebP, GIF, BMP, PPM, PGM and PBM files." in said


@pytest.mark.parametrize("language", ["cpp", "c"])
def test_snippets_of_the_readme_run(language: str, built: Built, tmp_path: Path) -> None:
    said = snippet(built, language, tmp_path)
    with closing(NativeClassifier(built.library, built.folder)) as classifier:
        named = [one.label for one in classifier.classify(SNIPPETS_PICTURE, k=3)]
    assert [line.split()[0] for line in said.splitlines()] == named


@pytest.fixture(scope="module")
def stress(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("stress") / "stress"
    run(
        [
            *("g++", "-std=c++17", "-O2", *STRICT.split(), "-I", str(built.folder / "include")),
            *(str(NATIVE / "stress.cpp"), *built.libraries, "-ldl", "-o", str(program)),
        ],
        program.parent,
    )
    return program


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_many_calls_allocate_nothing(runtime: str, stress: Path, built: Built) -> None:
    said = run([str(stress), str(built.folder), "1500", runtime], stress.parent)
    found = json.loads(said)
    assert found["calls"] == 1500
    assert found["ours"] == 0
    assert found["runtime"] > 0  # the counter does count
    # ONNX Runtime has a standard library of its own; OpenVINO calls that of the system.
    assert runtime == "openvino" or found["libstdcxx"] == 0
    assert found["after_kb"] - found["before_kb"] < 2000


@pytest.fixture(scope="module")
def examples(built: Built) -> Path:
    build = built.folder / "build"
    configure = ["cmake", str(build), "-DRESNET_EXAMPLES=ON", f"-DCMAKE_C_FLAGS={STRICT}"]
    run(configure, build)
    targets = ["server", "workers"]
    run(["cmake", "--build", str(build), "-j2", "--target", *targets], build)
    return build


@pytest.mark.parametrize("own", [(), ("--own",)])
def test_workers_in_c_name_every_picture(
    own: tuple[str, ...], examples: Path, built: Built, tmp_path: Path
) -> None:
    pictures = sorted((built.folder / "golden").glob("*.ppm"))
    with closing(NativeClassifier(built.library, built.folder)) as classifier:
        named = [
            classifier.classify(np.asarray(Image.open(picture)))[0].label for picture in pictures
        ]
    command = [str(examples / "workers"), *own, str(built.folder), "3"]
    lines = run([*command, *map(str, pictures)], tmp_path).splitlines()
    assert [line.split(": ")[1].split(" (")[0] for line in lines] == named
    done = subprocess.run(
        [*command, str(tmp_path), str(pictures[0])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[1] == lines[0]
    assert run_for_code([str(examples / "workers")]) == 2
    for threads in ("many", "3x", "0", "1000"):
        done = subprocess.run(
            [*command[:-1], threads, "a.ppm"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, f"not '{threads}'" in done.stderr) == (2, True)


def run_for_code(command: list[str]) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_the_server_answers_and_outlives_bad_requests(examples: Path, built: Built) -> None:
    body = (built.folder / "golden/photo-like.ppm").read_bytes()
    with closing(NativeClassifier(built.library, built.folder)) as classifier:
        picture = np.asarray(Image.open(built.folder / "golden/photo-like.ppm"))
        expected = classifier.classify(picture, k=5)
    for refused in ("http", "80x", "-1", "65536"):
        done = subprocess.run(
            [str(examples / "server"), str(built.folder), refused],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, f"not '{refused}'" in done.stderr) == (2, True)
    command = [str(examples / "server"), str(built.folder), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, ExitStack() as end:
        end.callback(server.kill)
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(":")[2])

        def post(data: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
            with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as client:
                client.request("POST", "/", body=data, headers=headers)
                answer = client.getresponse()
                return answer.status, json.loads(answer.read())

        def ask(text: bytes) -> bytes:
            """Send bytes that may be no request, and nothing more."""
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(text)
                client.shutdown(socket.SHUT_WR)
                return client.recv(1000)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(post, [body] * 32))
        for status, said in answers:
            assert status == 200
            assert [named["label"] for named in said["classes"]] == [
                named.label for named in expected
            ]
        for wrong, (status, why) in {
            b"": (400, "the body is not a binary PPM"),
            body[:-1]: (400, "is truncated"),
            b"P6 99999 99999 255 ": (400, "pixels"),
        }.items():
            code, said = post(wrong)
            assert code == status
            assert why in said["error"]
        assert b" 413 " in ask(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
        assert b" 411 " in ask(b"POST / HTTP/1.1\r\n\r\n")
        assert b" 411 " in ask(b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n")
        assert b" 405 " in ask(b"GET / HTTP/1.1\r\n\r\n")
        assert b" 400 " in ask(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nP6")
        assert b" 400 " in ask(b"\x00\xff")
        assert b" 431 " in ask(b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as waiting:
            head = f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            waiting.sendall(head + body[:-1])
            assert post(body)[0] == 200  # that one waits meanwhile
            server.terminate()
            waiting.sendall(body[-1:])
            assert waiting.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert server.wait(20) == 0


def test_the_server_answers_all_that_it_has_when_it_ends(examples: Path, built: Built) -> None:
    body = (built.folder / "golden/photo-like.ppm").read_bytes()
    request = f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    command = [str(examples / "server"), str(built.folder), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, ExitStack() as end:
        end.callback(server.kill)
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(":")[2])

        def connected(data: bytes) -> socket.socket:
            client = socket.create_connection(("127.0.0.1", port), timeout=20)
            client.sendall(data)
            return end.enter_context(closing(client))

        begun = [connected(request[:-1]) for _ in range(4)]
        time.sleep(0.5)  # now each worker reads one of them
        server.send_signal(signal.SIGSTOP)
        whole = [connected(request) for _ in range(20)]  # in the system's queue
        silent = [connected(b"") for _ in range(8)]
        for thread in Path(f"/proc/{server.pid}/task").iterdir():  # workers hear signals, too
            ctypes.CDLL(None).tgkill(server.pid, int(thread.name), signal.SIGTERM)
        server.send_signal(signal.SIGCONT)
        start = time.monotonic()
        for client in begun:
            client.sendall(request[-1:])
        answers = [client.recv(100).split(b"\r\n")[0] for client in (*begun, *whole)]
        assert answers == [b"HTTP/1.1 200 OK"] * 24
        assert all(client.recv(100).startswith(b"HTTP/1.1 408 ") for client in silent)
        assert server.wait(20) == 0
        assert time.monotonic() - start < 9  # they have half a second each, and four workers


def test_cmake_says_where_onnxruntime_is_missing(built: Built, tmp_path: Path) -> None:
    missing = ("onnxruntime", "PkgConfig", "OpenVINO")
    command = ["cmake", "-S", str(built.folder), "-B", str(tmp_path)]
    command += [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in missing]
    for root, message in {"": "ONNX Runtime was not found", "/": "ORT_ROOT=/ holds no"}.items():
        done = subprocess.run(
            [*command, f"-DORT_ROOT={root}"], capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert message in " ".join(done.stderr.split())
