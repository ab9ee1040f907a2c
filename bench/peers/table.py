"""A record of :mod:`peers` as Markdown, between markers of a page. Needs no other package."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]

_AT_A_GLANCE = {
    "portable": "resnet-deploy on ONNX Runtime",
    "bytes-plain-ov": "resnet-deploy on OpenVINO",
    "nncf": "NNCF on OpenVINO",
    "ort-fp32": "ONNX Runtime, fp32",
}
"""What is compared on several kinds of CPU. With AMX, ``ours`` is the file for it."""


def replace_block(text: str, name: str, block: str) -> str:
    """Return ``text`` with ``block`` between the markers of ``name``.

    Raises:
        ValueError: a marker is missing.
    """
    first, last = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"there is no {first} … {last} to write between")
    return f"{before}{first}\n{block.strip()}\n{last}{after}"


def by_cpu(record: Record, lesser: dict[str, Record]) -> str:
    """Return fastest runs by kind of CPU, batch size 1, all cores: ResNet-34 and -50.

    ``record`` is of the CPU as it is, ``lesser`` of the same one shown as another kind.
    """
    records = {"AMX": record, **{kind.upper(): known for kind, known in lesser.items()}}
    rows = []
    for key, label in _AT_A_GLANCE.items():
        row = [label]
        for kind, known in records.items():
            row.append(_times(known, "ours" if (kind, key) == ("AMX", "portable") else key))
        rows.append(row)
    return _table(["ms, ResNet-34 and -50", *records], [row for row in rows if any(row[1:])])


def _times(record: Record, key: str) -> str:
    threads = max(run["threads"] for run in record["runs"])
    found = [
        run["subjects"].get(key, {}).get("min_ms")
        for net in ("resnet34", "resnet50")
        for run in record["runs"]
        if (run["net"], run["batch"], run["threads"]) == (net, 1, threads)
    ]
    return ", ".join(f"{time:.1f}" for time in found) if found and all(found) else ""


def short(record: Record) -> str:
    """Return the table of ``docs/explanation/peers.md``: batch size 1, all cores."""
    threads = max(run["threads"] for run in record["runs"])
    runs = [run for run in record["runs"] if (run["batch"], run["threads"]) == (1, threads)]
    rows = [[*_name(record, key), *_cells(runs, key, _plain)] for key in _keys(record)]
    heads = ["", "", *(f"{_title(run['net'])}" for run in runs)]
    for row, key in zip(rows, _keys(record), strict=True):
        row += [_file(record, runs, key), _best_agreement(record, key)]
    table = _table([*heads, "file", "same class"], _alive(rows))
    intro = (
        f"Fastest run in milliseconds, batch size 1, {threads} threads, {_cpu(record)}; in "
        "brackets the time as a multiple of the first row's (median of paired rounds). "
        f"Files are of {_title(runs[-1]['net'])}. {_agreement_text(record)}"
    )
    plot = "![Fastest runs as bars](../images/peers.svg)"
    return f"{intro.strip()}\n\n{table}\n\n{plot}\n\n{_missing(record, runs)}".strip()


def full(record: Record) -> str:
    """Return all tables: speed by setting, what it costs to make the files, how close they are."""
    parts = [f"{_cpu(record)}{_clock(record)}."]
    settings = sorted({(run["batch"], run["threads"]) for run in record["runs"]})
    for batch, threads in settings:
        runs = [run for run in record["runs"] if (run["batch"], run["threads"]) == (batch, threads)]
        rows = [[*_name(record, key), *_cells(runs, key, _detailed)] for key in _keys(record)]
        cores = f"{threads} thread{'s' if threads > 1 else ''}"
        parts.append(f"Batch size {batch}, {cores}: fastest run, and time over ours.")
        parts.append(_table(["", "", *(_title(run["net"]) for run in runs)], _alive(rows)))
    parts += [_missing(record, record["runs"]), _costs(record), _agreement(record)]
    return "\n\n".join(part for part in parts if part)


def _keys(record: Record) -> list[str]:
    found = {key for run in record["runs"] for key in run["subjects"]}
    return [key for key in record["labels"] if key in found]


def _name(record: Record, key: str) -> list[str]:
    label, precision = record["labels"][key]
    return [label, precision]


def _title(net: str) -> str:
    return net.replace("resnet", "ResNet-")


def _cells(runs: list[Record], key: str, form: Any) -> list[str]:
    return [form(run["subjects"].get(key, {"error": "not measured"})) for run in runs]


def _plain(row: Record) -> str:
    if "error" in row:
        return ""
    times = row.get("against_ours")
    return f"{row['min_ms']:.1f}" + (f" ({times['median']:.2f}x)" if times else "")


def _detailed(row: Record) -> str:
    if "error" in row:
        return ""
    text = f"{row['min_ms']:.2f} ms"
    if times := row.get("against_ours"):
        high = "…" if times["high"] is None else f"{times['high']:.2f}"
        text += f", {times['median']:.2f}x ({times['low']:.2f} to {high})"
    if share := row.get("share_of_peak"):
        text += f", {share:.0%} of peak"
    return text


def _alive(rows: list[list[str]]) -> list[list[str]]:
    return [row for row in rows if any(row[2:])]


def _missing(record: Record, runs: list[Record]) -> str:
    """Say which subjects could not be measured, where, and why."""
    lines = []
    for key in _keys(record):
        reasons: dict[str, list[str]] = {}
        for run in runs:
            if error := run["subjects"].get(key, {}).get("error"):
                reasons.setdefault(error, []).append(f"{_title(run['net'])} x{run['batch']}")
        for reason, where in reasons.items():
            nets = "" if len(where) == len(runs) else f" for {', '.join(dict.fromkeys(where))}"
            lines.append(f"{' '.join(_name(record, key))} could not be measured{nets}: {reason}.")
    return "\n".join(lines)


def _file(record: Record, runs: list[Record], key: str) -> str:
    made = _product(record, runs[-1]["net"], key)
    return f"{made['bytes'] / 1e6:.1f} MB" if "bytes" in made else ""


def _product(record: Record, net: str, key: str) -> Record:
    product = record["products_of"].get(key, key)
    found: Record = record["products"].get(net, {}).get(product, {})
    return found


def _costs(record: Record) -> str:
    """Return what making each file takes."""
    nets = list(dict.fromkeys(run["net"] for run in record["runs"]))
    rows, seen = [], set()
    for key in _keys(record):
        product = record["products_of"].get(key, key)
        cells = [_cost(_product(record, net, key)) for net in nets]
        if any(cells) and product not in seen:
            seen.add(product)
            rows.append([*_name(record, key), *cells])
    if not rows:
        return ""
    text = "Making the file: seconds of the whole command, peak memory, size of what it wrote."
    return f"{text}\n\n" + _table(["", "", *map(_title, nets)], rows)


def _cost(made: Record) -> str:
    if "seconds" not in made:
        return ""
    megabytes = made["bytes"] / 1e6
    return f"{made['seconds']:.0f} s, {made['peak_mb']:.0f} MB, {megabytes:.1f} MB"


def _agreement(record: Record) -> str:
    """Return how close the files stay to fp32 on trained nets."""
    runs = record["agreement"]
    rows = []
    for key in _keys(record):
        cells = [_close(run["subjects"].get(key, {})) for run in runs]
        if any(cells):
            rows.append([*_name(record, key), *cells])
    if not rows:
        return ""
    images = f"{runs[0]['images']:,}"
    text = f"CIFAR-10, {images} test images: same class as fp32, and signal to noise of the logits."
    return f"{text}\n\n" + _table(["", "", *(_title(run["net"]) for run in runs)], rows)


def _close(row: Record) -> str:
    if "agreement" not in row:
        return ""
    noise = row["sqnr_db"]
    return f"{row['agreement']:.2%}" + ("" if noise is None else f", {noise:.1f} dB")


def _best_agreement(record: Record, key: str) -> str:
    found = [run["subjects"].get(key, {}).get("agreement") for run in record["agreement"]]
    return ", ".join(f"{share:.1%}" for share in found if share is not None)


def _agreement_text(record: Record) -> str:
    runs = record["agreement"]
    if not runs:
        return ""
    nets = " and ".join(_title(run["net"]) for run in runs)
    return f"Same class: as fp32 picks, {nets} on {runs[0]['images']:,} CIFAR-10 images."


def _cpu(record: Record) -> str:
    where, kind = record["environment"], record.get("as_cpu")
    if kind:
        return f"{where['cpu']}, shown as a CPU with {kind.upper()}"
    found = [feature for feature in ("avx512_vnni", "amx_int8") if feature in where["isa"]]
    return where["cpu"] + (f" ({', '.join(found)})" if found else "")


def _clock(record: Record) -> str:
    peak = record["peak_gmacs_per_core"]
    if not peak:
        return ""
    clock = record["clock_ghz"]
    return (
        f", {clock:.2f} GHz: {peak:.0f} GMAC/s per core is the peak of one 512-bit int8 "
        "instruction a cycle; CPUs that start two, or have AMX, can exceed it"
    )


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
