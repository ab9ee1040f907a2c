"""What became of each cell, and why some failed."""

from __future__ import annotations

from resnet_deploy.report import csv
from resnet_deploy.report.views.matrix import line
from tests.support.reports.samples import matrix
from tests.support.terminal import printed


def test_a_row_for_each_cell_and_a_line_for_what_failed() -> None:
    shown = printed(matrix())
    rows = {
        words[1]: words for row in shown.splitlines() if (words := row.split())[:1] == ["resnet34"]
    }
    assert rows["page"][2:6] == ["done", "out/resnet34/page", "anywhere", "1"]
    assert rows["server"][2:5] == ["unchanged", "out/resnet34/server", "here"]
    assert "resnet34 x phone: no such weights" in shown
    assert shown.rstrip().endswith("FAIL  3 cells: 1 done, 1 unchanged, 1 failed")
    assert csv(matrix()).splitlines()[0].startswith("net,target,state,folder,where,files")


def test_a_line_of_progress() -> None:
    assert [line(cell) for cell in matrix().cells] == [
        "resnet34 x page: done, 12.3 s",
        "resnet34 x server: unchanged",
        "resnet34 x phone: failed, 0.1 s: no such weights",
    ]
