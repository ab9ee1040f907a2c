"""The web bundle's own server."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request

from tests.support import npm


def test_its_own_server_shows_the_bundle_and_nothing_else(own_server, server_root, bundle):
    def ask(path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(f"{own_server}{path}", method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    status, headers, body = ask("/")
    assert (status, body) == (200, (bundle / "index.html").read_bytes())
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    types = {"/vendor/ort-wasm-simd-threaded.wasm": "application/wasm", "/model.onnx": "octet"}
    types |= {"/lib/classifier.js": "text/javascript", "/style.css": "text/css"}
    for path, kind in types.items():
        assert kind in ask(path, "HEAD")[1]["Content-Type"]
    (server_root / "secret").write_text("not in the bundle")
    for path in ("/../../secret", "/..%2f..%2fsecret", "/app", "/none", "/node_modules/", "/%00"):
        assert ask(path)[0] == 404, path
    assert ask("/", "POST")[0] == 404


def test_how_its_programs_are_used(own_server, bundle, tmp_path):
    node = npm.find_node()
    for program in ("serve.js", "vendor.js"):
        usage = npm.run([node, program, "--help"], bundle).stdout.splitlines()[0]
        assert usage.startswith(f"usage: node {program}")
        for words in (["--nonsense"], ["8080", "more"]):
            done = npm.run([node, program, *words], bundle, expect=2)
            assert done.stderr.endswith(f"; {usage}\n")
            assert len(done.stderr.splitlines()) == 1
    shutil.copy(bundle / "vendor.js", tmp_path / "vendor.mjs")
    done = npm.run([node, "vendor.mjs"], tmp_path, expect=2)
    assert done.stderr == 'onnxruntime-web is not installed: run "npm ci" in this folder\n'


def test_a_port_that_is_taken_is_said(own_server, bundle):
    port = own_server.rpartition(":")[2]
    done = npm.run([npm.find_node(), "serve.js", port], bundle, expect=1)
    assert done.stderr == f"port {port} is taken: name another one, as in: npm start 8081\n"
