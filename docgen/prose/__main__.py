"""Checks the wording of all files that git knows, or of those that are named.

``python -m docgen.prose [FILE…]`` prints a line for each finding, and ends with 1 if there is one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from docgen.prose.rules import findings
from docgen.prose.texts import readable

ROOT: Final = Path(__file__).resolve().parents[2]

_FOREIGN: Final = (
    "CHANGELOG.md",  # history is not worded anew
    "docgen/prose/style.toml",  # what must not be written
    "docs/assets/iframe-worker.js",
    "resnet_deploy/bundles/texts/",  # licences
    "resnet_deploy/data/imagenet_classes.txt",
    "tests/fuzz/corpus/",
    "tests/fuzz/native/corpus/",
    "tests/golden/",
)
"""Texts that are not the project's to word, and what is made of those that are."""


def files() -> Iterator[Path]:
    """Yield every file of the project that has prose in English."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if readable(path) and not name.startswith(_FOREIGN) and ".zh." not in name:
            yield path


def main() -> None:
    """Check, and print."""
    parser = argparse.ArgumentParser(description="Check how the project is worded.")
    parser.add_argument("file", nargs="*", type=Path, help="by default all files that git knows")
    asked = parser.parse_args()
    found = [one for path in asked.file or files() for one in findings(path.resolve())]
    for path, line, message in found:
        print(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}:{line}: {message}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
