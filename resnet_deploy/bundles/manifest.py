"""``manifest.json``: what is in a bundle, what it was made from, and what it must do.

By it a bundle is written into a folder without overwriting files that are not a bundle's. Long,
since what it may name and what may be removed by it are one question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from resnet_deploy.artifact.files import check_within, sha256_of, staged, write_atomically
from resnet_deploy.artifact.unfinished import in_turn, is_unfinished
from resnet_deploy.bundles.kit import Kit, Network
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.errors import ArtifactError
from resnet_deploy.paths import resolved
from resnet_deploy.plain_values import read_text, strict_json
from resnet_deploy.processes.interrupts import interrupts_deferred
from resnet_deploy.spec import InputContract
from resnet_deploy.spec.input_contract import FIELDS
from resnet_deploy.version import __version__
from resnet_deploy.visible import visible_json

MANIFEST_FILE = "manifest.json"
MANIFEST_FORMAT = 3
"""Format 1 knew only square inputs in RGB: resize and crop were numbers. Format 2 knew ONNX Runtime
alone: ``onnxruntime`` had its releases, and a network one tolerance.
"""

UNFINISHED_FILE = ".resnet-deploy-bundle.json"
"""Lies in a bundle's folder as long as its files are moved there, and where that was killed."""

TOOL = "resnet-deploy"

_LONGEST_NAME, _LONGEST_PATH = 255, 1024
"""Bytes; no system has files of longer names, and asking for one is an error."""

_MOST_FILES, _DEEPEST = 10_000, 32
"""A bundle has some dozens of files, a few folders deep: each costs a look at all above it."""

Content: TypeAlias = bytes | Path
"""What a file of a bundle holds, or the file that it is a copy of."""


def manifest(kit: Kit, files: Mapping[str, Content]) -> bytes:
    """Return the manifest of a bundle of ``files``, itself not among them."""
    contract, spec = kit.contract, kit.contract.preprocess
    data = {
        "format": MANIFEST_FORMAT,
        "tool": {"name": TOOL, "version": __version__},
        "target": kit.target.value,
        "networks": [_network(network, files) for network in kit.networks],
        "input": {
            "name": contract.input_name,
            "dtype": contract.input_dtype,
            "shape": [contract.batch, *(contract.input_shape or (None, None, spec.channels))],
            **described(spec),
        },
        "output": {
            "names": contract.output_names,
            "kind": contract.output_kind.value,
            "classes": contract.num_classes,
            "k": contract.k,
            # For one picture; of each, every how many values are recorded in the golden cases.
            "float32": [
                {"name": output.name, "shape": output.shape, "recorded_every": output.every}
                for output in kit.outputs
            ],
        },
        "labels": _place(kit.labels_file, files) if kit.labels_file is not None else None,
        # In the order in which a program tries them.
        "runtimes": [_runtime(runtime) for runtime in kit.runtimes],
        "why": kit.why,
        "ratio": kit.ratio,
        "golden": [_case(kit, index, files) for index in range(len(kit.cases))],
        "files": digests(files),
    }
    return visible_json(data, indent=1, sort_keys=True)


def described(spec: InputContract) -> dict[str, Any]:
    """Return how a picture is prepared, as the manifest says it."""
    return {
        "format": spec.format.value,
        "height": spec.height,
        "width": spec.width,
        "resize": spec.resize,
        "resize_mode": spec.resize_mode.value,
        "interpolation": spec.interpolation,
        "channel_order": spec.channel_order.value,
        "range": spec.range,
        "mean": spec.mean,
        "std": spec.std,
        "resize_in_graph": spec.resize_in_graph,
        "pictures": spec.sentence,
        "learned": {name: spec.learned[name].value for name in FIELDS if name in spec.learned},
        "assumed": spec.assumed,
    }


def listed_files(folder: Path) -> dict[str, frozenset[str]] | None:
    """Return the files of the bundle in ``folder`` with the SHA-256 that each may have.

    None: there is no bundle. Where a run was killed while it replaced one bundle by another, these
    are the files of both. Names that lead out of the folder are not ours and are left out.

    Raises:
        ArtifactError: the manifest can't be read.
    """
    found = [
        listed
        for name in (MANIFEST_FILE, UNFINISHED_FILE)
        if (listed := _listed(folder, folder / name)) is not None
    ]
    if not found:
        return None
    return {
        name: frozenset().union(*(listed.get(name, ()) for listed in found))
        for name in sorted({name for listed in found for name in listed})
    }


def _listed(folder: Path, path: Path) -> dict[str, frozenset[str]] | None:
    if not path.is_file():
        return None
    try:
        data = strict_json(read_text(path))
        if data["tool"]["name"] != TOOL:
            return None
        if len(data["files"]) > _MOST_FILES:
            return None
        root = resolved(folder)
        return {
            str(name): frozenset([digest] if isinstance(digest, str) else map(str, digest))
            for name, digest in data["files"].items()
            if _is_below(name) and resolved(folder / name).is_relative_to(root)
        }
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_below(name: str) -> bool:
    """Whether ``name`` leads down and nowhere else: empty folders are removed up along it."""
    path = PurePath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or len(path.parts) > _DEEPEST:
        return False
    sizes = [len(part.encode()) for part in path.parts]
    return max(sizes) <= _LONGEST_NAME and sum(sizes) <= _LONGEST_PATH


def is_as_listed(folder: Path, name: str, digests: frozenset[str]) -> bool:
    """Whether the file ``name`` of a bundle in ``folder`` is there, and as it was written.

    What became a pipe or a device since is not: to open it is to wait.

    Raises:
        OSError: it can't be read.
    """
    return (folder / name).is_file() and sha256_of(folder / name) in digests


def size(content: Content) -> int:
    """Return the bytes of a file."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def digests(files: Mapping[str, Content]) -> dict[str, str]:
    """Return the SHA-256 of each of ``files``."""
    return {name: _digest(files[name]) for name in sorted(files)}


def _digest(content: Content) -> str:
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256_of(content)


def _place(name: str, files: Mapping[str, Content]) -> str | None:
    """Return where a bundle has the file called ``name``: a server wants it in a folder."""
    ends = (path for path in sorted(files) if path == name or path.endswith(f"/{name}"))
    return min(ends, key=len, default=None)


def _network(network: Network, files: Mapping[str, Content]) -> dict[str, Any]:
    card = network.artifact.card
    return {
        "file": _place(network.file, files),
        "source": network.artifact.path.name,
        "sha256": network.sha256,
        "precision": network.artifact.precision,
        "opset": network.artifact.opset,
        "tolerances": {
            runtime.kind.value: bound
            for runtime, bound in zip(network.runtimes, network.tolerances, strict=True)
        },
        "card": json.loads(card.to_json()) if card is not None else None,
    }


def _runtime(runtime: Runtime) -> dict[str, Any]:
    return {
        "name": runtime.kind.value,
        "min": runtime.min_version,
        "made_with": runtime.made_with,
        "threads": runtime.threads,
        "spin": runtime.spin,
        "options": dict(runtime.options),
    }


def _case(kit: Kit, index: int, files: Mapping[str, Content]) -> dict[str, Any]:
    case = kit.cases[index]
    return {
        "name": case.name,
        "picture": case.image_file,
        "width": case.width,
        "height": case.height,
        "input": case.tensor_file,
        "input_shape": list(case.tensor.shape),
        "answers": [
            {
                "network": _place(network.file, files),
                "runtime": runtime.kind.value,
                "scores": network.scores_file(case, runtime),
                "top1": network.answers[number][index].top1,
                "label": _label(kit, network.answers[number][index].top1),
                "top1_is_decided": network.top1_is_decided(number, index),
            }
            for network in kit.networks
            for number, runtime in enumerate(network.runtimes)
        ],
    }


def _label(kit: Kit, top1: int | None) -> str | None:
    return None if top1 is None else kit.contract.labels[top1]


def check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder in which a bundle would replace other work, unless ``force``.

    An older bundle is replaced when its files are as they were written. Other files, such as what a
    build made, stay as they are.

    Raises:
        ArtifactError: ``folder`` is a file, holds something that is not a bundle, or holds a bundle
            whose files were changed by hand.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file: name a folder with -o")
    # A killed run may have left empty folders, and what is not finished.
    with in_turn([folder]):
        if force or not any(map(_is_finished, folder.rglob("*"))):
            return
        listed = listed_files(folder)
        if listed is None:
            raise ArtifactError(
                f"{folder} is not empty and holds no bundle: name another folder with -o, or "
                "--force to write into it"
            )
        changed = [
            name
            for name, digests in listed.items()
            if (folder / name).is_file() and not is_as_listed(folder, name, digests)
        ]
    if changed:
        raise ArtifactError(
            f"{folder / sorted(changed)[0]} was changed since it was written: move your changes "
            "away, or --force to replace them"
        )


def _is_finished(path: Path) -> bool:
    return path.is_file() and not is_unfinished(path)


def write_folder(folder: Path, files: Mapping[str, Content], *, force: bool = False) -> None:
    """Write ``files``, the manifest among them, and remove what an older bundle leaves behind.

    Raises:
        ArtifactError: a file can't be written, would land outside of ``folder`` through a link in
            it, or would replace one that is of no bundle and ``force`` is not given; the older
            bundle is then as it was.
    """
    check_within(folder, files)
    if not force:
        with in_turn([folder]):
            _check_foreign(folder, files)
    # The manifest comes last: a folder with a manifest holds all that it lists.
    ordered = sorted(files, key=lambda name: (name != MANIFEST_FILE, name))
    contents = {folder / name: files[name] for name in ordered}
    with staged(contents) as move, in_turn([folder]), interrupts_deferred():
        listed = listed_files(folder) or {}
        write_atomically(folder / UNFINISHED_FILE, _of_both(listed, files))
        # What is neither bundle must not pass for one while files of both lie here.
        (folder / MANIFEST_FILE).unlink(missing_ok=True)
        move()
        for name in set(listed) - set(files):
            path = folder / name
            if path.is_file() or path.is_symlink():
                path.unlink()
            _remove_empty(path.parent, folder)
        (folder / UNFINISHED_FILE).unlink()


def _check_foreign(folder: Path, files: Mapping[str, Content]) -> None:
    listed = listed_files(folder) or {}
    for name, data in files.items():
        path = folder / name
        foreign = name not in listed and name != MANIFEST_FILE and path.is_file()
        if foreign and sha256_of(path) != _digest(data):
            raise ArtifactError(
                f"{path} was not written by resnet-deploy: move it away, or --force to replace it"
            )


def _of_both(listed: Mapping[str, frozenset[str]], files: Mapping[str, Content]) -> bytes:
    """Return what tells a later run which files are of the older bundle or the newer one."""
    both = {name: set(digests) for name, digests in listed.items()}
    for name, data in files.items():
        both.setdefault(name, set()).add(_digest(data))
    named = {name: sorted(both[name]) for name in sorted(both)}
    return json.dumps({"tool": {"name": TOOL}, "files": named}, indent=1).encode()


def _remove_empty(path: Path, top: Path) -> None:
    """Remove ``path`` and the folders above it, up to ``top``, as long as they are empty.

    Triton takes every folder in its repository for a model.
    """
    while path != top:
        if path.is_dir():
            if any(path.iterdir()):
                return
            path.rmdir()
        path = path.parent
