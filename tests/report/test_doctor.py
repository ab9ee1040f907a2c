"""What a machine can run, in words."""

from __future__ import annotations

from dataclasses import replace

from resnet_deploy.report import csv, view
from resnet_deploy.report.document import Table
from resnet_deploy.results import Diagnosis
from tests.support.reports.samples import diagnosis


def words(found: Diagnosis) -> dict[str, str]:
    (table,) = view(found).sections[1].blocks
    assert isinstance(table, Table)
    return {what.text: said.text for what, said in table.rows}


def test_the_machine() -> None:
    found = words(diagnosis())
    assert found["int8"].startswith("fast and exact")
    assert found["cores to use"] == ("2 (2 physical of 4 logical CPUs allowed, no cgroup quota)")
    assert found["memory"] == "16.0 GB, 9.0 GB available"
    assert found["runner ort"] == "ready"
    assert found["runner openvino"] == "pip install openvino"
    assert found["missing: torch"] == "needed for exports: pip install torch"


def test_a_quota_and_a_cpu_without_extensions() -> None:
    bare = replace(diagnosis().environment, isa=())
    found = words(replace(diagnosis(), quota=1.5, environment=bare, missing=()))
    assert "cgroup quota 1.5" in found["cores to use"]
    assert found["vector extensions"] == "none that matter"
    assert found["int8"].startswith("likely slower than fp32")
    assert not any(key.startswith("missing") for key in found)


def test_as_csv() -> None:
    assert csv(diagnosis()).splitlines()[:2] == ["what,found", f"CPU,{diagnosis().environment.cpu}"]
