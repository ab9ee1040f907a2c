"""The C++ bundle: compiled by this machine's compiler, run, compared with Python, and abused."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.data.images import read_image, to_rgb
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import InputFormat, SessionSpec
from tests.support.contracts import square
from tests.support.cpp_bundle import Built, block, build, commands_of
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
    assert built.said.startswith(f"PASS model.onnx: {built.report.cases} cases, inputs equal")


def test_200_pictures_get_pythons_class(
    classifier: NativeClassifier, built: Built, cifar_pictures: Pixels
) -> None:
    spec = square(32, form=InputFormat.UINT8_NHWC)
    worst = 0.0
    with closing(OrtRunner(built.folder / "model.onnx", SessionSpec(threads=1, spin=False))) as ort:
        for picture in cifar_pictures:
            expected = ort.infer(prepare(Image.fromarray(picture), spec)[None])[0]
            found = classifier.scores(picture)
            worst = max(worst, float(abs(found - expected).max() / abs(expected).max()))
            assert classifier.classify(picture)[0].index == int(expected.argmax())
    assert worst <= built.report.tolerance


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
    for folder, message in {
        flipped: "model.onnx is damaged or of another bundle: its SHA-256",
        fewer: "labels.txt has 2 lines, but the network has 10 classes",
        missing: "model.onnx does not exist",
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
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("FAIL ONNX Runtime 1.11.0 is too old: this model needs 1.")
    assert done.stdout.count("\n") == 1


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
        r"allowed 0.0001. The inputs match: .*--target-isa x86-avx2",
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


_APP = """\
{includes}
#include <stdio.h>
{more}
static unsigned char rgb[50 * 40 * 3] = {{9, 8, 7}};
int main(void) {{
  const int width = 50, height = 40;
  const size_t size = sizeof rgb;
{body}
  return 0;
}}
"""


@pytest.mark.parametrize(
    ("language", "compiler", "more"),
    [("cpp", ("g++", "-std=c++17"), "#include <array>"), ("c", ("gcc", "-std=c11"), "")],
)
def test_snippets_of_the_readme_run(
    language: str, compiler: tuple[str, ...], more: str, built: Built, tmp_path: Path
) -> None:
    includes, body = block(built.folder / "README.md", language).split("\n\n", 1)
    body = body.replace("THIS_FOLDER", str(built.folder))
    source, program = tmp_path / f"app.{language}", str(tmp_path / "app")
    source.write_text(_APP.format(includes=includes, more=more, body=body))

    headers = ("-I", str(built.folder / "include"), "-isystem", str(built.ort / "include"))
    run([*compiler, *STRICT.split(), *headers, "-c", str(source), "-o", "app.o"], tmp_path)
    run(["g++", "app.o", *built.libraries, "-o", program], tmp_path)
    said = run([program], tmp_path)

    with closing(NativeClassifier(built.library, built.folder)) as classifier:
        picture = np.zeros((40, 50, 3), np.uint8)
        picture[0, 0] = 9, 8, 7
        named = [one.label for one in classifier.classify(picture, k=3)]
    assert [line.split()[0] for line in said.splitlines()] == named


def test_many_calls_allocate_nothing(built: Built, tmp_path: Path) -> None:
    run(
        [
            *("g++", "-std=c++17", "-O2", *STRICT.split(), "-I", str(built.folder / "include")),
            *(str(NATIVE / "stress.cpp"), *built.libraries, "-ldl", "-o", "stress"),
        ],
        tmp_path,
    )
    found = json.loads(run([str(tmp_path / "stress"), str(built.folder), "10000"], tmp_path))
    assert found["calls"] == 10000
    assert found["ours"] == 0
    assert found["onnxruntime"] > 0  # the counter does count
    assert found["after_kb"] - found["before_kb"] < 2000


def test_cmake_says_where_onnxruntime_is_missing(built: Built, tmp_path: Path) -> None:
    missing = ("onnxruntime", "PkgConfig")
    command = ["cmake", "-S", str(built.folder), "-B", str(tmp_path)]
    command += [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in missing]
    for root, message in {"": "ONNX Runtime was not found", "/": "ORT_ROOT=/ holds no"}.items():
        done = subprocess.run(
            [*command, f"-DORT_ROOT={root}"], capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert message in " ".join(done.stderr.split())
