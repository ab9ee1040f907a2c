"""One table of picture files, read by Python, C++, Node.js and Triton's client: the same pixels.

The browser's part is in tests/e2e/web/test_picture_files.py.
"""

from __future__ import annotations

import io
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.data.images import MAX_PIXELS
from resnet_deploy.spec import BundleTarget
from tests.support import npm
from tests.support.native_pictures import compiled
from tests.support.native_toolchain import NATIVE_TEMPLATES
from tests.support.picture_files import NOT_IN_JAVASCRIPT, NOT_PORTED, Found, check, picture_files
from tests.support.tiny_model import save_colour_model

TEMPLATES = NATIVE_TEMPLATES.parent
SHARP = {"sharp": "0.35.5"}

_EVERY = """
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { decodePicture } from './pictures.mjs';
for (const file of readdirSync('files')) {
  let found;
  try {
    const { data, width, height } = await decodePicture(readFileSync(`files/${file}`));
    found = Buffer.concat([Buffer.from(Uint32Array.of(width, height).buffer), data]);
  } catch (error) {
    if (error.name !== 'ClassifierError') throw error;
    found = error.message;
  }
  writeFileSync(`read/${typeof found === 'string' ? 'not-' : ''}${file}`, found);
}
"""


def test_files_say_the_orientation_of_their_names() -> None:
    """Else the comparisons below would be of pictures that nothing turns."""
    named = {name: re.match(r"(?:exif|xmp|text)-(\d)", name) for name in picture_files()}
    wanted = {name: int(found[1]) for name, found in named.items() if found is not None}
    assert set(wanted.values()) == set(range(1, 10))
    for name, orientation in wanted.items():
        with Image.open(io.BytesIO(picture_files()[name])) as image:
            assert image.getexif().get(0x0112) == orientation, name


def test_cpp_reads_what_python_reads(tmp_path: Path) -> None:
    read = compiled(tmp_path)
    check({name: read(data) for name, data in picture_files().items()}, NOT_PORTED)


def test_without_libraries_cpp_names_them(tmp_path: Path) -> None:
    read = compiled(tmp_path, ())
    packages = {"jpg": "libjpeg62-turbo-dev", "png": "libpng-dev", "webp": "libwebp-dev"}
    for name, data in picture_files().items():
        package = packages.get(name.rpartition(".")[2])
        if package is not None and not name.startswith("bad-"):
            assert f"Debian: {package}" in str(read(data)), name


def bundled(target: BundleTarget, folder: Path) -> Path:
    folder.mkdir()
    save_colour_model(folder / "model.onnx")
    pack(folder / "model.onnx", target, folder / "bundle")
    return folder / "bundle"


def test_node_reads_what_python_reads(tmp_path: Path) -> None:
    node = npm.find_node()
    bundle = bundled(BundleTarget.NODE, tmp_path / "node")
    (bundle / "every.mjs").write_text(_EVERY)
    for folder in ("files", "read"):
        (bundle / folder).mkdir()
    for name, data in picture_files().items():
        (bundle / "files" / name).write_bytes(data)
    coded = [name for name in picture_files() if name.endswith(("jpg", "webp"))]

    # Before sharp is installed.
    npm.run([node, "every.mjs"], bundle)
    lines = {name: _found(bundle / "read", name) for name in coded if name not in _REFUSED_BEFORE}
    assert all("npm install sharp" in str(line) for line in lines.values()), lines
    shutil.rmtree(bundle / "read")
    (bundle / "read").mkdir()
    (bundle / "node_modules").symlink_to(npm.modules(SHARP), target_is_directory=True)
    npm.run([node, "every.mjs"], bundle)
    check({name: _found(bundle / "read", name) for name in picture_files()}, NOT_IN_JAVASCRIPT)


_REFUSED_BEFORE = {
    *NOT_IN_JAVASCRIPT,
    *(name for name in picture_files() if name.startswith("bad-")),
}
"""Of these the headers say already that they are refused."""


def _found(folder: Path, name: str) -> Found:
    if (folder / f"not-{name}").exists():
        return (folder / f"not-{name}").read_text(encoding="utf-8")
    data = (folder / name).read_bytes()
    width, height = np.frombuffer(data[:8], "<u4")
    return np.frombuffer(data[8:], np.uint8).reshape(height, width, 3)


def test_tritons_client_reads_what_python_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundled(BundleTarget.TRITON, tmp_path / "triton")
    monkeypatch.syspath_prepend(bundle)  # as Python does with the folder of a script
    client = runpy.run_path(str(next(bundle.rglob("client.py"))))
    found: dict[str, Found] = {}
    for name, data in picture_files().items():
        (tmp_path / name).write_bytes(data)
        try:
            found[name] = np.asarray(client["open_picture"](tmp_path / name))
        except client["Failure"] as failure:
            found[name] = str(failure)
    check(found, {})


def test_one_number_limits_pictures_everywhere() -> None:
    wanted = f"{MAX_PIXELS:_}"
    for name, pattern in {
        "native/include/resnet/preprocess.hpp": r"max_pixels = (\d+);",
        "javascript/preprocess.mjs": r"MAX_PIXELS = ([\d_]+);",
        "triton/client.py.j2": r"MAX_PIXELS = ([\d_]+) ",
        "cpp/README.md": r"at most ([\d,]+) pixels",
    }.items():
        found = re.search(pattern, (TEMPLATES / name).read_text(encoding="utf-8"))
        assert found is not None, name
        assert f"{int(re.sub('[_,]', '', found[1])):_}" == wanted, name
