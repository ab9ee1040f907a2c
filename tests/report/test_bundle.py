"""What a bundle holds, and the commands of its self-test."""

from __future__ import annotations

from dataclasses import replace

from resnet_deploy.report import csv
from tests.support.reports.samples import bundle
from tests.support.terminal import printed


def test_where_it_is_and_how_to_see_it_pass() -> None:
    shown = printed(bundle())
    assert "wrote out/app  cpp, 2 files, 21.9 MB" in shown
    assert "7 golden cases, 3 of them real pictures; scores may differ by 0.0001" in shown
    assert "note  ONNX Runtime 1.14 or later" in shown
    assert shown.splitlines()[-3:] == ["  cd out/app", "  cmake -B build", "  cmake --build build"]
    assert "runner.hpp,4096" in csv(bundle())


def test_a_bundle_without_a_self_test() -> None:
    bare = replace(bundle(), commands=(), real_pictures=0, notes=(), folder="my app")
    assert "to see it pass" not in printed(bare)
    assert "real pictures" not in printed(bare)
    assert "cd 'my app'" in printed(replace(bundle(), folder="my app"))
