"""Weights in several files that an index lists, as Hugging Face's libraries save large nets.

Source: https://huggingface.co/docs/safetensors/en/metadata_parsing, "sharded safetensors".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resnet_deploy.errors import one_line
from resnet_deploy.pickles.bounds import Damaged, Refused
from resnet_deploy.plain_values import read_text, strict_json

INDEX_SUFFIX = ".index.json"

_LARGEST_INDEX = 64 << 20
_MOST_SHARDS = 1000


def shards_of(index: Path) -> dict[Path, set[str]]:
    """Return the files that ``index`` lists, and the names of the tensors in each.

    Raises:
        Damaged: it is no such list, or lists a tensor twice.
        Refused: it names a file elsewhere, or one that is missing.
    """
    try:
        content = strict_json(read_text(index, _LARGEST_INDEX))
    except ValueError as error:
        raise Damaged(f"an index that can't be read: {one_line(error, 80)}") from error
    listed = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise Damaged("an index without a weight_map")
    shards: dict[Path, set[str]] = {}
    for tensor, name in listed.items():
        shards.setdefault(_beside(index, name), set()).add(tensor)
        if len(shards) > _MOST_SHARDS:
            raise Damaged("an index of too many files")
    missing = [path.name for path in shards if not path.is_file()]
    if missing:
        raise Refused(
            f"lists {len(shards)} files, of which {missing[0]} is missing"
            f"{f' (and {len(missing) - 1} more)' * (len(missing) > 1)}: download it into the same "
            "folder"
        )
    return shards


def joined(parts: dict[Path, tuple[set[str], Any]]) -> dict[str, Any]:
    """Return one state dict of the files' contents: the tensors that the index lists of each.

    Raises:
        Refused: a file lacks a tensor that it should hold.
    """
    state: dict[str, Any] = {}
    for path, (names, content) in parts.items():
        held = content if isinstance(content, dict) else {}
        if lacking := sorted(names - held.keys()):
            raise Refused(
                f"lists {lacking[0]!r:.100} in {path.name}, which does not hold it: download "
                "that file again"
            )
        state |= {name: held[name] for name in sorted(names)}
    return state


def _beside(index: Path, name: Any) -> Path:
    if not isinstance(name, str) or not name or name != Path(name).name or "\\" in name:
        raise Refused(f"names a file that is not beside it ({name!r:.60}): it was not read")
    if not name.isprintable() or name in (".", "..") or name.endswith(INDEX_SUFFIX):
        raise Refused(f"names a file that holds no weights ({name!r:.60})")
    return index.parent / name
