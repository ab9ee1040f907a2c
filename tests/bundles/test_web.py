from __future__ import annotations

import html
import json
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.results import BundleReport
from resnet_deploy.spec import BundleTarget

PAGES = ("index.html", "selftest.html")


class Page(HTMLParser):
    """What a page loads, and what of it is inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.inline: list[str] = []
        self.addresses: list[str] = []
        self.policy = ""
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag == "style" or (tag == "script" and "src" not in found):
            self.inline.append(tag)
        self.inline += [name for name in found if name == "style" or name.startswith("on")]
        self.addresses += [value or "" for name, value in found.items() if name in ("src", "href")]
        self.ids.add(found.get("id") or "")
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_data(self, data: str) -> None:
        self.text += data


def packed(tiny_export: Path, folder: Path, *, both: bool) -> BundleReport:
    return pack(
        tiny_export / "resnet8.int8.onnx",
        BundleTarget.WEB,
        folder,
        alternative=tiny_export / "resnet8.onnx" if both else None,
    )


@pytest.fixture(scope="module")
def bundle(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "bundle"
    assert packed(tiny_export, folder, both=True).commands == ("npm ci", "npm start")
    return folder


def page(bundle: Path, name: str) -> Page:
    return Page((bundle / name).read_text())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_what_is_in_the_bundle_and_has_nothing_inline(name, bundle):
    found = page(bundle, name)
    assert found.inline == []
    for address in found.addresses:
        # Relative: the bundle may lie anywhere on a server.
        assert (bundle / address).exists(), address


def test_the_policy_is_one_and_allows_nothing_from_elsewhere(bundle):
    policies = {page(bundle, name).policy for name in PAGES}
    (policy,) = policies
    assert policy.startswith("default-src 'none'; ")
    sources = {word for rule in policy.split("; ") for word in rule.split()[1:]}
    assert sources == {"'none'", "'self'", "'wasm-unsafe-eval'"}
    assert f"\"{policy}; frame-ancestors 'none'\"" in (bundle / "serve.js").read_text().replace(
        "\\u0027", "'"
    )


def test_every_module_that_is_imported_is_there(bundle):
    modules = [file for folder in ("app", "lib") for file in (bundle / folder).glob("*.js")]
    assert len(modules) > 10
    for module in modules:
        imported = re.findall(r"(?:from|import\(|URL\()\s*'([^']+)'", module.read_text())
        for name in (path for path in imported if path.startswith(".")):
            # Some web servers don't know that .mjs is JavaScript.
            assert not name.endswith(".mjs"), name
            path = posixpath.normpath(f"{module.parent.name}/{name}")
            assert (bundle / path).is_file() or path.startswith("vendor/"), name


def test_every_element_that_a_page_needs_is_there(bundle):
    shared = (bundle / "app/elements.js").read_text()
    assert "getElementById(id)" in shared
    for name, module in (("index.html", "page.js"), ("selftest.html", "selftest_page.js")):
        code = (bundle / "app" / module).read_text()
        wanted = set(re.findall(r"(?:element|show)\('([^']+)'", code))
        assert wanted <= page(bundle, name).ids


def test_a_choice_is_offered_where_there_is_one(bundle, tiny_export, tmp_path):
    packed(tiny_export, tmp_path / "one", both=False)
    assert "networks" in page(bundle, "index.html").ids
    assert "networks" not in page(tmp_path / "one", "index.html").ids


def test_the_package_names_one_release_and_fills_vendor(bundle):
    package = json.loads((bundle / "package.json").read_text())
    assert package["scripts"] == {"postinstall": "node vendor.js", "start": "node serve.js"}
    lock = json.loads((bundle / "package-lock.json").read_text())
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    assert set(package["dependencies"]) == {"onnxruntime-web"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", package["dependencies"]["onnxruntime-web"])


def test_the_readme_fits_a_page(bundle):
    lines = (bundle / "README.md").read_text().splitlines()
    assert len(lines) <= 75
    assert "npm ci\nnpm start\n" in "\n".join(lines)


def test_a_hostile_name_is_text(tiny_export, tmp_path):
    name = "<img src=x onerror=alert(1)>{{ 1 }}"
    model = tmp_path / f"{name}.onnx"
    model.write_bytes((tiny_export / "resnet8.onnx").read_bytes())
    pack(model, BundleTarget.WEB, tmp_path / "web")
    for file in PAGES:
        found = page(tmp_path / "web", file)
        assert found.inline == []
        assert name in found.text


def test_a_hostile_name_is_no_markdown(tiny_export, tmp_path):
    model = tmp_path / "a_b_c [x](http:y) `d`.onnx"
    model.write_bytes((tiny_export / "resnet8.onnx").read_bytes())
    for target in (BundleTarget.WEB, BundleTarget.NODE, BundleTarget.TRITON):
        pack(model, target, tmp_path / target)
        title = (tmp_path / target / "README.md").read_text().partition("\n")[0]
        assert not set("_[`") & set(title)
        assert html.unescape(title).startswith(f"# {model.stem}: an image classifier ")


def test_same_input_same_bytes(bundle, tiny_export, tmp_path):
    packed(tiny_export, tmp_path / "again", both=True)
    for file in (path for path in bundle.rglob("*") if path.is_file()):
        assert (tmp_path / "again" / file.relative_to(bundle)).read_bytes() == file.read_bytes()
