"""The renderers of ``bench/peers``, which is not a package of this project's: loaded by path."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "peers.md"


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(
        f"peers_{name}", ROOT / "bench" / "peers" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def row(milliseconds: float, times: float | None = None, **more: float) -> dict[str, Any]:
    against = {"median": times, "low": 1.5, "high": None, "minima": times}
    return {"min_ms": milliseconds, **({"against_ours": against} if times else {}), **more}


def record() -> dict[str, Any]:
    """Two nets and three subjects, one of which can't be measured and one only in part."""
    missing = {"error": "install: no matching version"}
    slow = {"error": "its process died"}
    subjects = {"ours": row(3.25, share_of_peak=0.9), "peer": row(6.5, 2.0), "lost": missing}
    costs = {"ours": {"seconds": 4.2, "peak_mb": 300.4, "bytes": 11_800_000}}
    return {
        "environment": {"cpu": "A CPU", "isa": ["avx2", "avx512_vnni"]},
        "clock_ghz": 3.5,
        "peak_gmacs_per_core": 224.0,
        "labels": {"ours": ["ours", "int8"], "peer": ["a peer", "fp32"], "lost": ["lost", "int8"]},
        "products_of": {"ours": "ours", "peer": "made", "lost": "lost"},
        "products": {"resnet18": costs | {"made": {"bytes": 46_800_000}}},
        "runs": [
            {"net": "resnet18", "batch": 1, "threads": 2, "subjects": subjects},
            {"net": "resnet34", "batch": 1, "threads": 2, "subjects": subjects | {"peer": slow}},
        ],
        "agreement": [
            {
                "net": "resnet20",
                "images": 5000,
                "subjects": {
                    "ours": {"agreement": 0.9888, "sqnr_db": 31.52},
                    "peer": {"agreement": 1.0, "sqnr_db": None},
                    "lost": missing,
                },
            }
        ],
    }


def test_both_tables_are_as_recorded_by_hand() -> None:
    table = module("table")
    text = f"{table.short(record())}\n\n# full\n\n{table.full(record())}\n"
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_block_replaces_what_is_between_its_markers_and_nothing_else() -> None:
    table = module("table")
    page = "<!-- a:begin -->\n{}\n<!-- a:end -->\n<!-- b:begin -->\nkept\n<!-- b:end -->\n"
    once = table.replace_block(page.format("old"), "a", "new\n")
    assert once == page.format("new")
    assert table.replace_block(once, "a", "new") == once
    with pytest.raises(ValueError, match="between"):
        table.replace_block("only <!-- a:begin -->", "a", "new")


def test_the_pages_have_the_markers() -> None:
    table = module("table")
    for path, names in {
        ROOT / "README.md": ("cpus",),
        ROOT / "docs" / "explanation" / "peers.md": ("cpus", "peers"),
        ROOT / "bench" / "README.md": ("peers", "peers-vnni", "peers-avx2"),
    }.items():
        for name in names:
            table.replace_block(path.read_text(encoding="utf-8"), name, "new")


def test_the_kinds_of_cpu_stand_side_by_side_where_both_nets_were_measured() -> None:
    def run(net: str, threads: int, **times: float) -> dict[str, Any]:
        subjects = {key: row(time) for key, time in times.items()}
        return {"net": net, "batch": 1, "threads": threads, "subjects": subjects}

    amx = {
        "runs": [
            run("resnet34", 1, ours=9.0),
            run("resnet34", 2, ours=5.5, portable=8.0, nncf=2.5),
            run("resnet50", 2, ours=7.5, portable=9.5, nncf=4.0),
        ]
    }
    vnni = {"runs": [run("resnet34", 2, portable=8.0, nncf=6.5), run("resnet50", 2, portable=9.5)]}
    assert module("table").by_cpu(amx, {"vnni": vnni}).splitlines() == [
        "| ms, ResNet-34 and -50 | AMX | VNNI |",
        "| --- | --- | --- |",
        "| resnet-deploy on ONNX Runtime | 5.5, 7.5 | 8.0, 9.5 |",
        "| NNCF on OpenVINO | 2.5, 4.0 |  |",
    ]


def test_the_plot_has_a_bar_for_every_time_and_none_for_what_could_not_be_measured() -> None:
    svg = ET.fromstring(module("plot").draw(record()))
    texts = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}rect"))) == 1 + 3
    assert texts.count("3.2") == 2
    assert "a peer, fp32" in texts
    assert "lost, int8" not in texts
