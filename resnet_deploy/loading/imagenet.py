"""Pretrained weights: torchvision's ImageNet V1, downloaded and checked; CIFAR-10's, packaged."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from resnet_deploy.artifact.cache import CACHE_VARIABLE, cache_folder, make_cache_for
from resnet_deploy.artifact.files import sha256_of, write_atomically
from resnet_deploy.errors import ArtifactError, CheckpointError, SpecError
from resnet_deploy.progress import Progress, silent
from resnet_deploy.spec import (
    BATCHNORM_EPS,
    Family,
    ModelSpec,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
)

BASE_URL = "https://download.pytorch.org/models/"
URL_VARIABLE = "RESNET_DEPLOY_WEIGHTS_URL"

FILES = {
    (Family.IMAGENET, 18): "resnet18-f37072fd.pth",
    (Family.IMAGENET, 34): "resnet34-b627a593.pth",
    (Family.IMAGENET, 50): "resnet50-0676ba61.pth",
    (Family.IMAGENET, 101): "resnet101-63fe2227.pth",
    (Family.IMAGENET, 152): "resnet152-394f9c45.pth",
    (Family.VGG, 19): "vgg19-dcbb9e9d.pth",
}
"""Each name ends in the first eight digits of the file's SHA-256."""

SHA256 = {
    "resnet18-f37072fd.pth": "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    "resnet34-b627a593.pth": "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    "resnet50-0676ba61.pth": "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    "resnet101-63fe2227.pth": "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
    "resnet152-394f9c45.pth": "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
}
"""Eight digits stop an accident, not someone who makes a file that begins with them.

Of VGG-19's file they are all that is known.
"""

CIFAR10_FILE = Path(__file__).parents[1] / "models/pretrained" / "resnet20-cifar10.safetensors"

_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 1 << 20
_MOST_BYTES = 1 << 30
"""VGG-19, the largest, has 575 MB: a server that goes on sending is not believed."""


def fetch(spec: ModelSpec, *, progress: Progress = silent) -> Path:
    """Return the path of the published weights of ``spec``, downloaded if not in the cache.

    A file in the cache is used only while its hash is right. The base address can be set by the
    environment variable ``RESNET_DEPLOY_WEIGHTS_URL``, the cache by ``RESNET_DEPLOY_CACHE``.

    Raises:
        SpecError: nothing is published for this network.
        CheckpointError: no connection, no such file, or its hash is wrong. No file is left.
    """
    path = cache_folder() / published_file(spec)
    if _is_cached(path):
        return path
    url = f"{os.environ.get(URL_VARIABLE, BASE_URL).rstrip('/')}/{path.name}"
    expected = _digest_of(path.name)
    data = _download(url, progress)
    if not hashlib.sha256(data).hexdigest().startswith(expected):
        raise CheckpointError(
            f"{url} is not the published file: its SHA-256 does not begin with {expected}; try "
            "again, or use --weights FILE"
        )
    try:
        make_cache_for(path)
        write_atomically(path, data)
    except ArtifactError as error:
        raise CheckpointError(f"{error}; set {CACHE_VARIABLE} to a writable folder") from error
    return path


def to_download(spec: ModelSpec) -> str | None:
    """Return the name of the published file of ``spec`` if :func:`fetch` would download it.

    Raises:
        SpecError: nothing is published for this network.
    """
    name = published_file(spec)
    return None if _is_cached(cache_folder() / name) else name


def _is_cached(path: Path) -> bool:
    """Return whether the published file that ``path`` names lies there, whole."""
    return path.is_file() and sha256_of(path).startswith(_digest_of(path.name))


def _digest_of(name: str) -> str:
    """Return how the SHA-256 of a published file begins."""
    return SHA256.get(name) or Path(name).stem.rpartition("-")[2]


def published_file(spec: ModelSpec) -> str:
    """Return the name of the published file of ``spec``.

    Raises:
        SpecError: there is none; the message says which property is in the way.
    """
    name = FILES.get((spec.family, spec.depth))
    if name is None:
        raise SpecError(
            f"no ImageNet weights are published for {spec.name}: use depth 18, 34, 50, 101, 152 "
            "or --model vgg19"
        )
    as_trained = spec.variant is Variant.V1_5 or not spec.has_bottlenecks
    for wanted, option in (
        (not spec.plain, "--plain"),
        (spec.shortcut is Shortcut.B, f"--shortcut {spec.shortcut.value}"),
        (spec.stem is Stem.IMAGENET, f"--stem {spec.stem.value}"),
        (as_trained, f"--variant {spec.variant.value}"),
        (spec.bn_eps == BATCHNORM_EPS, f"--bn-eps {spec.bn_eps:g}"),
        (spec.padding is Padding.TORCH, f"--padding {spec.padding.value}"),
        (spec.pool is Pool.PLAIN, f"--pool {spec.pool.value}"),
        (spec.in_channels == 3, f"--in-channels {spec.in_channels}"),
        (spec.num_classes == 1000, f"--num-classes {spec.num_classes}"),
    ):
        if not wanted:
            raise SpecError(
                f"no ImageNet weights are published for {option}: drop it, or use --weights FILE"
            )
    return name


def _download(url: str, progress: Progress) -> bytes:
    """Return the whole file; it is hashed before anything is written."""
    if not url.startswith(("https://", "http://")):
        raise CheckpointError(f"{URL_VARIABLE} must be an http(s) address, not {url}")
    data = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            total = int(response.headers.get("Content-Length") or 0)
            while chunk := response.read(_CHUNK_BYTES):
                data += chunk
                if len(data) > _MOST_BYTES:
                    raise CheckpointError(
                        f"{url} is not the published file: it has more than {_MOST_BYTES >> 20} "
                        f"MiB; check {URL_VARIABLE}, or use --weights FILE"
                    )
                progress("download", len(data), total)
    except urllib.error.HTTPError as error:
        error.close()  # it is the response too, and holds the connection
        raise CheckpointError(
            f"{url}: the server answers {error.code} {error.reason}; use --weights FILE"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise CheckpointError(
            f"cannot download {url} ({reason}): go online, or use --weights FILE"
        ) from error
    if total and len(data) != total:
        raise CheckpointError(f"{url} broke off after {len(data)} of {total} bytes: try again")
    return bytes(data)
