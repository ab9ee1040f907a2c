"""Make a release: ``python -m release [OUT]``, ``dist`` unless told otherwise.

Refuses dependencies of known faults, builds sdist and wheel twice from what is committed, compares
them byte by byte, has twine check what an index would show of them, and lists what they are made of
in a CycloneDX file beside them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from release.advisories import complaints
from release.archives import build, check_metadata, commit_time, sha256
from release.sbom import as_json, bill_of_materials

ROOT = Path(__file__).parents[1]


def main(out: Path) -> None:
    """Write the archives and the list of their parts into ``out``."""
    if wrong := complaints():
        raise SystemExit("\n".join(wrong))
    time = commit_time(ROOT)
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        first, second = (build(ROOT, Path(name, turn), time) for turn in ("first", "second"))
        for one, other in zip(first, second, strict=True):
            if sha256(one) != sha256(other):
                raise SystemExit(f"{one.name} differs when it is built twice: it is not released")
        check_metadata(first)
        out.mkdir(parents=True, exist_ok=True)
        made = [Path(shutil.copy(path, out)) for path in first]
    bill = bill_of_materials(made, time)
    version = bill["metadata"]["component"]["version"]
    (out / f"resnet_deploy-{version}.cdx.json").write_bytes(as_json(bill))
    for path in made:
        print(f"{sha256(path)}  {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
