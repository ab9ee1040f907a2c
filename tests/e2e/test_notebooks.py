"""The notebooks of ``examples/`` run as a reader runs them, and show results as HTML."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from docgen.notebooks import NOTEBOOKS, pages
from tests.support.html_reading import read
from tests.support.markdown import ROOT

FILES = sorted((ROOT / "examples").glob("*.ipynb"))
# What jupyter_client and asyncio say of themselves is not about the notebook.
pytestmark = pytest.mark.filterwarnings("default")


def run(notebook: Any, folder: Path) -> Any:
    """Run the cells of ``notebook`` in a kernel of its own, in ``folder``; return it."""
    client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def test_every_notebook_has_a_page_of_its_words_and_code() -> None:
    assert [str(path.relative_to(ROOT)) for path in FILES] == sorted(NOTEBOOKS)
    for path in FILES:
        page = pages()[NOTEBOOKS[str(path.relative_to(ROOT))]]
        for cell in nbformat.read(path, 4).cells:
            assert cell.source in page


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    nbformat.validate(nbformat.reads(text, 4))
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")
    assert all(cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_notebook_runs_and_shows_values_as_html(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = run(nbformat.read(path, 4), path.parent)
    shown = [
        output.data["text/html"]
        for cell in found.cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    # Of each verb one, and of what goes between them.
    assert len(shown) == 6
    assert [read(text).tags[0] for text in shown] == ["table"] * 2 + ["iframe", "table"] + [
        "iframe"
    ] * 2


def test_a_cell_that_fails_would_be_seen(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("raise SystemError('broken')")
    with pytest.raises(CellExecutionError, match="broken"):
        run(nbformat.v4.new_notebook(cells=[cell]), tmp_path)
