from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from resnet_deploy.artifact.cache import CACHE_VARIABLE
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.loading import imagenet
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.imagenet import fetch, published_file
from resnet_deploy.spec import Family, ModelSpec, Shortcut, Stem, Variant, resnet_spec, vgg19_spec
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.states import state_of

SPEC = resnet_spec(18)


class Server:
    """A loopback server of one folder that counts requests and can break off."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests = 0
        self.break_off = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                path = outer.folder / self.path.lstrip("/")
                if not path.is_file():
                    self.send_error(404)
                    return
                data = path.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if outer.break_off else data)

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served")
    monkeypatch.setenv(imagenet.URL_VARIABLE, server.url)
    yield server
    server.close()


def publish(server: Server, data: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"resnet18-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    (server.folder / name).write_bytes(data)
    monkeypatch.setitem(imagenet.FILES, (Family.IMAGENET, 18), name)
    return name


def test_download_once_then_reuse(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(server, b"weights" * 1000, monkeypatch)
    steps: list[tuple[str, int, int]] = []
    path = fetch(SPEC, progress=lambda *step: steps.append(step))
    assert path == cache / name
    assert cache.stat().st_mode & 0o777 == 0o700
    assert path.read_bytes() == b"weights" * 1000
    assert steps[-1] == ("download", 7000, 7000)
    assert fetch(SPEC) == path
    assert server.requests == 1

    path.write_bytes(b"damaged")
    assert fetch(SPEC).read_bytes() == b"weights" * 1000
    assert server.requests == 2


def test_published_weights_load(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.save(state_of(SPEC), tmp_path / "net.pth")
    name = publish(server, (tmp_path / "net.pth").read_bytes(), monkeypatch)
    loaded = resolve(ModelRequest(depth=18), "imagenet")
    assert loaded.spec == SPEC
    assert (loaded.source.kind, loaded.source.file) == ("imagenet", name)


@pytest.mark.parametrize("fault", ["hash", "missing", "cut", "offline"])
def test_a_failed_download_leaves_nothing(
    fault: str, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(server, b"weights" * 100_000, monkeypatch)
    message = {
        "hash": "SHA-256 does not begin with",
        "missing": "the server answers 404",
        "cut": "cannot download|broke off",
        "offline": "go online, or use --weights FILE",
    }[fault]
    if fault == "hash":
        (server.folder / name).write_bytes(b"something else")
    elif fault == "missing":
        (server.folder / name).unlink()
    elif fault == "cut":
        server.break_off = True
    else:
        monkeypatch.setenv(imagenet.URL_VARIABLE, "http://127.0.0.1:9/")
    with pytest.raises(CheckpointError, match=message) as caught:
        fetch(SPEC)
    assert "\n" not in str(caught.value)
    assert not cache.exists() or not list(cache.iterdir())


def test_only_http_addresses(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(imagenet.URL_VARIABLE, "file:///etc")
    with pytest.raises(CheckpointError, match="must be an http"):
        fetch(SPEC)


def test_cache_that_cannot_be_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server, b"weights", monkeypatch)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(CheckpointError, match="to a writable folder"):
        fetch(SPEC)


def test_eight_digits_of_a_hash_are_not_enough(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(server, b"made to begin alike", monkeypatch)
    own = name.removesuffix(".pth").rpartition("-")[2]
    monkeypatch.setitem(imagenet.SHA256, name, own + "0" * 56)
    with pytest.raises(CheckpointError, match=f"does not begin with {own}0000"):
        fetch(SPEC)
    assert not cache.exists()


def test_the_hashes_of_the_papers_nets_are_whole() -> None:
    for (family, depth), name in imagenet.FILES.items():
        if family is Family.IMAGENET:
            digest = imagenet.SHA256[name]
            assert len(digest) == 64
            assert name == f"resnet{depth}-{digest[:8]}.pth"


def test_a_server_that_goes_on_sending_is_not_believed(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server, b"weights" * 1000, monkeypatch)
    monkeypatch.setattr(imagenet, "_MOST_BYTES", 6999)
    with pytest.raises(CheckpointError, match="it has more than"):
        fetch(SPEC)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_published_names(depth: int) -> None:
    assert published_file(resnet_spec(depth)).startswith(f"resnet{depth}-")
    assert published_file(vgg19_spec()) == "vgg19-dcbb9e9d.pth"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (resnet_spec(20), "published for resnet20"),
        (resnet_spec(50, variant=Variant.V1), "--variant v1"),
        (resnet_spec(34, shortcut=Shortcut.A), "--shortcut A"),
        (resnet_spec(34, stem=Stem.CIFAR), "--stem cifar"),
        (resnet_spec(34, plain=True), "--plain"),
        (resnet_spec(34, num_classes=10), "--num-classes 10"),
    ],
)
def test_what_is_not_published(spec: ModelSpec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        published_file(spec)


def test_basic_blocks_have_one_variant() -> None:
    assert published_file(resnet_spec(34, variant=Variant.V1)).startswith("resnet34-")
