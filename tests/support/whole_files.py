"""Whether what lies in an output folder is whole, by what the files hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.manifest import MANIFEST_FILE, UNFINISHED_FILE
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.quantization.histogram import ActivationHistograms


def files_in(folder: Path) -> dict[str, Path]:
    """Return the files of ``folder``, by their names relative to it."""
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


def remains(folder: Path) -> list[str]:
    """Return what a killed run may leave: files that have no name of their own yet."""
    return [
        name
        for name in files_in(folder)
        if Path(name).name.startswith(".") and name.endswith(".tmp")
    ]


def halves(out: Path) -> Iterator[str]:
    """Yield what is wrong with the files in ``out``, all but the :func:`remains`."""
    left = set(remains(out))
    for name, path in files_in(out).items():
        if name in left:
            continue
        try:
            _read(path)
        except (ResnetDeployError, ValueError, KeyError, RuntimeError, OSError) as error:
            yield f"{name} is half written: {type(error).__name__}: {str(error)[:100]}"
    yield from _mixed(out)


def _read(path: Path) -> None:
    """Read a file to its end."""
    data = path.read_bytes()
    if path.suffix == ".onnx":
        import onnx

        assert load(path).card is not None, "every file of this tool has a card"
        onnx.checker.check_model(onnx.load_model_from_string(data))
    elif path.suffix == ".json":
        json.loads(data)
    elif path.suffix == ".jsonl":
        if data and not data.endswith(b"\n"):
            raise ValueError("its last line has no end")
        for line in data.splitlines():
            json.loads(line)
    elif path.suffix == ".html" and path.name in ("page.html", "tune.html"):
        if not data.rstrip().endswith(b"</html>"):
            raise ValueError("it has no end")
    elif path.suffix == ".pt":
        import torch

        torch.load(path, weights_only=True)
    elif path.suffix == ".safetensors":
        from safetensors.torch import load as read

        read(data)
    elif path.parent.name == "cache":
        ActivationHistograms.from_bytes(data)


def _mixed(out: Path) -> Iterator[str]:
    """Yield what a bundle's manifest says of files that are others: two bundles, mixed."""
    manifest = out / MANIFEST_FILE
    if not manifest.is_file():
        if any(out.rglob("case-*")) and not (out / UNFINISHED_FILE).is_file():
            yield "files of a bundle lie there, and nothing says which"
        return
    for name, digest in json.loads(manifest.read_bytes())["files"].items():
        path = out / name
        if not path.is_file():
            yield f"{name} is in the manifest and not there"
        elif sha256_of(path) != digest:
            yield f"{name} is of another bundle than the manifest"
