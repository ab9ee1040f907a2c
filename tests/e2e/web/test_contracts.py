"""Web bundles of nets with unusual input contracts, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.spec import BundleTarget
from tests.support import npm
from tests.support.contract_nets import NETS
from tests.support.devtools import Browser
from tests.support.static_server import serve
from tests.support.web_pages import clean, verdict_of


@pytest.mark.parametrize("net", NETS)
def test_the_selftest_passes(net: str, browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    pack(NETS[net](tmp_path / f"{net}.onnx"), BundleTarget.WEB, folder)
    npm.ci(folder)
    npm.run(["npm", "run", "postinstall"], folder)
    with serve(tmp_path, "site") as site:
        tab = browser.open(f"{site.address}/selftest.html")
        report = verdict_of(tab)
        assert report["passed"], report["message"]
        assert report["message"].startswith("PASS 7 cases of model.onnx: inputs are equal")
        clean(tab, site.address)
