"""Pages made of the notebooks in ``examples/``: their words and their code, as they are stored.

Notebooks are stored without outputs, so that a commit does not change with the machine; the tests
run them. Links in them are those of the page, next to the tutorials.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NOTEBOOKS: Final = {
    "examples/weights-to-int8.ipynb": "tutorials/notebook.md",
}
"""Path in the project => page of the site."""

_ROOT: Final = Path(__file__).resolve().parents[1]


def pages() -> Mapping[str, str]:
    """Return the Markdown of every page, by its place in the site."""
    return {page: _page(_ROOT / path) for path, page in NOTEBOOKS.items()}


def _page(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell in cells
        for text in ["".join(cell["source"])]
    ]
    # Below the heading: where the file is that runs.
    file = (
        f"The notebook itself is [{path.name}](../../examples/{path.name}): run it in `examples/`."
    )
    return "\n\n".join([parts[0], file, *parts[1:], ""])
