"""The web bundle's self-test in a real browser, and what it says when something is broken."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tests.support import npm
from tests.support.browser import colours
from tests.support.web_pages import clean, is_shown, text, verdict_of

_COMPILER = {"typescript": "7.0.2", "@types/node": "18.19.130"}


def test_the_selftest_with_threads_from_its_own_server(browser, own_server, bundle, tmp_path):
    tab = browser.open(f"{own_server}/selftest.html", cores=2)
    report = verdict_of(tab)
    assert report["passed"], report["message"]
    assert report["runtime"]["threads"] == 2
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert [one["precision"] for one in report["networks"]] == ["int8", "fp32"]
    assert len(report["cases"]) == 2 * len(manifest["golden"])
    clean(tab, own_server)
    assert colours(tab.screenshot(tmp_path / "selftest.png")) > 100
    for network in report["networks"]:
        assert network["message"].startswith(f"PASS {len(manifest['golden'])} cases of ")
        assert "classes equal in all " in network["message"]
    # On a phone each case is a block, and all of it is to be seen.
    for width in (390, 1280):
        tab.resize(width=width, height=844)
        cells = tab.evaluate(
            "[...document.querySelectorAll('td')].map((cell) => cell.getBoundingClientRect())"
            ".map(({left, right, height}) => left >= 0 && right <= innerWidth && height > 0)"
        )
        assert len(cells) == 5 * len(report["cases"])
        assert all(cells)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_the_selftest_on_one_thread_below_a_path_of_any_server(browser, site, bundle):
    # The pictures were all classified with threads: here some show that paths are right.
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["golden"] = manifest["golden"][:12]
    site.replaced["manifest.json"] = json.dumps(manifest).encode()
    tab = browser.open(f"{site.address}/selftest.html", cores=2)
    report = verdict_of(tab)
    assert report["passed"], report["message"]
    assert report["runtime"]["threads"] == 1
    clean(tab, site.address)


def test_threads_are_bounded(browser, own_server, site):
    # Any page of the server will do: this one does nothing by itself.
    tab = browser.open(f"{own_server}/labels.txt", cores=2)
    said = tab.evaluate("""
        import('./app/runtime.js').then(async ({ openRuntime, wantedThreads }) => {
          const said = [];
          const searches = ['?threads=100000', '?threads=many', '?threads=2', '?threads=1', ''];
          for (const search of searches) {
            const ort = await openRuntime(wantedThreads(search)).catch((error) => error);
            said.push(ort.message ?? ort.env.wasm.numThreads);
          }
          return said;
        })
    """)
    rest = "say how many CPUs a call may use, 1 to 2, or 0 to leave that to ONNX Runtime"
    assert said == [f"threads is 100000: {rest}", f"threads is many: {rest}", 2, 1, 2]
    tab = browser.open(f"{site.address}/?threads=2", cores=2)
    tab.wait_for("document.getElementById('error').textContent")
    assert text(tab, "error").startswith("threads is 2, but browsers give one to this page: ")


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.onnx", "model.onnx is damaged: its SHA-256 is"),
        ("labels.txt", "labels.txt has 9 lines, but the network knows 10 classes"),
        ("alternative.onnx", "alternative.onnx can't be loaded: the server answers 404"),
        ("vendor/ort.wasm.min.js", 'vendor/ort.wasm.min.js can\'t be loaded: run "npm ci"'),
        ("vendor/ort-wasm-simd-threaded.wasm", "ONNX Runtime can't load model.onnx"),
    ],
)
def test_what_is_missing_or_damaged_is_said(file, message, browser, site, bundle):
    data = (bundle / file).read_bytes()
    site.replaced[file] = {
        "model.onnx": flipped(data),
        "labels.txt": data.partition(b"\n")[2],
    }.get(file)
    tab = browser.open(f"{site.address}/")
    tab.wait_for("document.getElementById('error').textContent")
    assert message in text(tab, "error")
    assert tab.evaluate("document.getElementById('file').disabled")
    tab = browser.open(f"{site.address}/selftest.html")
    assert message in verdict_of(tab)["message"]


def test_the_selftest_names_the_first_case_that_differs(browser, site, bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["golden"] = manifest["golden"][:3]
    site.replaced["manifest.json"] = json.dumps(manifest).encode()
    case = manifest["golden"][1]
    scores = np.fromfile(bundle / case["answers"][0]["scores"], dtype="<f4")
    scores[3] += 1
    site.replaced[case["answers"][0]["scores"]] = scores.tobytes()
    tab = browser.open(f"{site.address}/selftest.html")
    report = verdict_of(tab)
    assert not report["passed"]
    assert report["message"].startswith(f"FAIL {case['name']}: score 3 is ")
    assert "int8" in report["hint"]
    assert [one["ok"] for one in report["cases"]] == [True, False, True, True, True, True]


def test_opened_as_a_file_it_says_what_to_do(browser, bundle):
    for name in ("index.html", "selftest.html"):
        tab = browser.open((bundle / name).as_uri())
        appears = "document.getElementById('late').getAnimations()[0]"
        tab.evaluate(f"{appears}.pause(), {appears}.currentTime = 0")
        assert not is_shown(tab, "late")
        tab.evaluate(f"{appears}.finish()")
        assert is_shown(tab, "late")
        assert "npm start" in text(tab, "late")


def test_calls_may_overlap_and_leave_nothing_behind(browser, own_server):
    # Any page of the server will do: this one does nothing by itself.
    tab = browser.open(f"{own_server}/labels.txt", cores=2)
    found = tab.evaluate("""
        (async () => {
          const { openBundle } = await import('./app/bundle.js');
          const [one] = (await openBundle(() => {})).classifiers;
          const picture = (seed) => {
            const data = Uint8Array.from({ length: 40 * 50 * 3 }, (_, i) => (i * seed) % 256);
            return { data, width: 40, height: 50 };
          };
          const seeds = [...Array(10).keys()];
          const alone = [];
          for (const seed of seeds) alone.push(await one.classify(picture(seed)));
          const together = await Promise.all(seeds.map((seed) => one.classify(picture(seed))));
          const failed = await one.classify({ data: new Uint8Array(5), width: 1, height: 2 })
            .catch((error) => error.message);
          await one.close();
          return [JSON.stringify(alone) === JSON.stringify(together), failed];
        })()
    """)
    assert found == [True, "a picture of 1x2 RGB pixels has 6 bytes, not 5"]


def test_types_are_right(bundle, tmp_path):
    (tmp_path / "node_modules").symlink_to((bundle / "node_modules").resolve())
    for folder in ("app", "lib"):
        shutil.copytree(bundle / folder, tmp_path / folder)
    (tmp_path / "vendor").mkdir()
    # The copy in vendor/ has no types beside it.
    (tmp_path / "vendor/ort.wasm.min.d.ts").write_text("export * from 'onnxruntime-web/wasm';\n")
    options = {
        "strict": True,
        "noEmit": True,
        "allowJs": True,
        "checkJs": True,
        "allowImportingTsExtensions": True,
        "skipLibCheck": True,
        "target": "es2022",
        "module": "nodenext",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": [],
    }
    settings = {"compilerOptions": options, "include": ["app/*.js"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    compiler = npm.modules(_COMPILER) / "typescript/bin/tsc"
    npm.run([npm.find_node(), str(compiler), "-p", "."], tmp_path)
