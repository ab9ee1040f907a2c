"""The web bundle of a network that gives arrays, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.spec import BundleTarget
from tests.support import npm
from tests.support.array_nets import maps_model
from tests.support.devtools import Browser
from tests.support.static_server import serve
from tests.support.web_pages import answer_in_own_page, clean, open_page, text, verdict_of


def test_arrays_are_shown_and_compared(browser: Browser, picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    pack(maps_model(tmp_path / "maps.onnx"), BundleTarget.WEB, folder)
    npm.ci(folder)
    npm.run(["npm", "run", "postinstall"], folder)
    with serve(tmp_path, "site") as site:
        tab = browser.open(f"{site.address}/selftest.html")
        report = verdict_of(tab)
        assert report["passed"], report["message"]
        assert "inputs are equal, values differ by" in report["message"]
        clean(tab, site.address)

        tab = open_page(browser, site.address)
        tab.choose("#file", picture)
        status = json.dumps(f"{picture.name}: 2 arrays")
        tab.wait_for(f"document.getElementById('status').textContent === {status}")
        shown = text(tab, "classes")
        assert shown.startswith(
            "maps3 \N{MULTIPLICATION SIGN} 128 \N{MULTIPLICATION SIGN} 128, norm "
        )
        assert "colours3, norm " in shown
        assert "class" not in text(tab, "result").lower()
        clean(tab, site.address)

        maps, colours = answer_in_own_page(browser, site, folder, picture)
        assert (maps["name"], maps["shape"]) == ("maps", [3, 128, 128])
        assert (colours["name"], colours["shape"]) == ("colours", [3])
