"""The web bundle of the real network, on servers, and a browser to look at it with."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.spec import BundleTarget
from tests.support import npm
from tests.support.browser import find_browser
from tests.support.devtools import Browser, Tab, open_browser
from tests.support.static_server import Site, serve
from tests.support.web_pages import open_page

_REAL_PICTURES = 200

_PATH = "apps/pictures"
"""Where the bundle lies on the server: not at its root."""

_RUNTIME = {"ort-wasm-simd-threaded.js", "ort-wasm-simd-threaded.wasm", "ort.wasm.min.js"}


@pytest.fixture(scope="session")
def server_root(
    resnet20_export: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a server that has the bundle below it, its runtime in place."""
    folder = tmp_path_factory.mktemp("web")
    bundle = folder / _PATH
    dataset = None
    with contextlib.suppress(pytest.skip.Exception):
        dataset = open_dataset(request.getfixturevalue("cifar10_test"))
    report = pack(
        resnet20_export / "resnet20.int8.onnx",
        BundleTarget.WEB,
        bundle,
        alternative=resnet20_export / "resnet20.onnx",
        dataset=dataset,
        count=_REAL_PICTURES,
    )
    assert report.commands == ("npm ci", "npm start")
    npm.ci(bundle)
    npm.run(["npm", "run", "postinstall"], bundle)
    assert {file.name for file in (bundle / "vendor").iterdir()} == _RUNTIME
    return folder


@pytest.fixture(scope="session")
def bundle(server_root: Path) -> Path:
    """The folder of the bundle; tests must not change it."""
    return server_root / _PATH


@pytest.fixture(scope="session")
def any_server(server_root: Path) -> Iterator[Site]:
    """The bundle below a path of a server that knows nothing of it."""
    with serve(server_root, _PATH) as site:
        yield site


@pytest.fixture
def site(any_server: Site) -> Iterator[Site]:
    """``any_server``, which a test may make send something else."""
    yield any_server
    any_server.replaced.clear()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(find_browser(), tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="session")
def own_server(bundle: Path) -> Iterator[str]:
    """The address of the bundle's own server."""
    process = subprocess.Popen(
        [npm.find_node(), "serve.js", "0"], cwd=bundle, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+/selftest\.html", process.stdout.readline())
        assert found is not None
        yield found[0].removesuffix("/selftest.html")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def page(browser: Browser, any_server: Site) -> Tab:
    """The page from any server, ready; tests hand their pictures in one after the other."""
    return open_page(browser, any_server.address)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo-like PNG that is resized and cropped; each test has one of its own name."""
    blocks = np.random.default_rng(3).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    file = tmp_path / f"{tmp_path.name}.png"
    Image.fromarray(blocks).resize((91, 62), Image.Resampling.BICUBIC).save(file)
    return file
