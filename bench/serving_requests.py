"""Requests to a Triton server, good and bad, made of a Triton bundle; and what answers must be.

The protocol is KServe's, version 2, over HTTP, with Triton's binary tensors: a JSON header, and
behind it the bytes of the input in C order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TYPES: Final = {"uint8": "UINT8", "float32": "FP32"}
_OTHER_TYPES: Final = {"uint8": "FP32", "float32": "UINT8"}
"""A type that a network does not take, by the one that it takes."""

_DEEP: Final = 200_000
_CHUNKS: Final = 1_000_000

CLOSED: Final = 0
"""Instead of a status: the connection was closed, and nothing was answered."""

_REFUSED: Final = (400, 404, 405, 413)
_UNREADABLE: Final = (400, 500)
"""Of JSON that it can't read Triton says with 500 what is wrong; the connection stays open."""


@dataclass(frozen=True)
class Bad:
    """A request that a server must refuse with one of ``statuses``, and outlive.

    ``ends`` says that the client sends nothing more, though the server waits for it.
    """

    name: str
    data: bytes
    statuses: tuple[int, ...] = _REFUSED
    ends: bool = False


@dataclass(frozen=True)
class Golden:
    """The bytes of a request with a bundle's own case, and the scores that it must get."""

    name: str
    data: bytes
    scores: NDArray[np.float32]


class Bundle:
    """A Triton bundle of a net that takes pictures of one size, any number a request."""

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.folder = folder
        self.model = (folder / manifest["networks"][0]["file"]).parents[1].name
        self.input: dict[str, Any] = manifest["input"]
        self.outputs: list[str] = manifest["output"]["names"]
        runtime = manifest["runtimes"][0]["name"]
        self.tolerance: float = manifest["networks"][0]["tolerances"][runtime]
        self.shape: list[int] = [1, *manifest["golden"][0]["input_shape"]]
        self.golden = tuple(self._golden(case) for case in manifest["golden"])

    def _golden(self, case: dict[str, Any]) -> Golden:
        tensor = (self.folder / case["input"]).read_bytes()
        scores = np.fromfile(self.folder / case["answers"][0]["scores"], "<f4")
        return Golden(case["name"], self.ask(tensor), scores)

    def ask(
        self,
        tensor: bytes,
        *,
        size: int | None = None,
        model: str = "",
        head: dict[str, str] | None = None,
        **of_input: Any,
    ) -> bytes:
        """Return a request with ``tensor``, of which the JSON says that it has ``size`` bytes.

        ``of_input`` replaces what the JSON says of the input, and ``head`` lines of the HTTP head.
        """
        entry = {
            "name": self.input["name"],
            "datatype": _TYPES[self.input["dtype"]],
            "shape": self.shape,
            "parameters": {"binary_data_size": len(tensor) if size is None else size},
            **of_input,
        }
        outputs = [{"name": name, "parameters": {"binary_data": True}} for name in self.outputs]
        text = json.dumps({"inputs": [entry], "outputs": outputs}).encode()
        return self.post(text, tensor, model=model, head=head)

    def post(
        self,
        text: bytes,
        tensor: bytes = b"",
        *,
        model: str = "",
        head: dict[str, str] | None = None,
    ) -> bytes:
        """Return a request whose JSON is ``text``; lines of the head that are "" are left out."""
        lines = {
            "Host": "127.0.0.1",
            "Inference-Header-Content-Length": str(len(text)),
            "Content-Length": str(len(text) + len(tensor)),
            **(head or {}),
        }
        start = f"POST /v2/models/{model or self.model}/infer HTTP/1.1\r\n"
        rest = "".join(f"{key}: {value}\r\n" for key, value in lines.items() if value)
        return f"{start}{rest}\r\n".encode() + text + tensor

    def fault(self, golden: Golden, status: int, head: dict[str, str], body: bytes) -> str:
        """Return what is wrong with an answer to a golden case, or ""."""
        if status != 200:
            return f"status {status}: {body[:200].decode(errors='replace')}"
        size = int(head["inference-header-content-length"])
        names = [output["name"] for output in json.loads(body[:size])["outputs"]]
        found = np.frombuffer(body[size:], "<f4")
        if names != self.outputs or found.shape != golden.scores.shape:
            return f"{found.size} values of {names}"
        if not np.isfinite(found).all():
            return "scores that are not finite"
        off = float(np.abs(found - golden.scores).max() / np.abs(golden.scores).max())
        return "" if off <= self.tolerance else f"scores off by {off:.1e} of the largest one"


def bad_requests(bundle: Bundle) -> tuple[Bad, ...]:
    """Return requests that a server must refuse, and outlive.

    NaN is among them for a net that takes bytes. Among floats it is a value like others to Triton,
    which computes with it.
    """
    kind = bundle.input["dtype"]
    size = int(np.prod(bundle.shape)) * np.dtype(kind).itemsize
    zeros, (_, rows, *others) = bytes(size), bundle.shape

    def length(of: str, text: str) -> bytes:
        return bundle.ask(zeros, head={of: text})

    def values(of: list[Any]) -> bytes:
        entry = {
            "name": bundle.input["name"],
            "datatype": _TYPES[kind],
            "shape": bundle.shape,
            "data": of,
        }
        return bundle.post(json.dumps({"inputs": [entry]}).encode())

    whole, unreadable = "Content-Length", _UNREADABLE
    fewer = bundle.ask(zeros[: -size // rows], shape=[1, rows - 1, *others])
    bad = [
        Bad("another shape", fewer),
        Bad("another rank", bundle.ask(zeros, shape=[1, int(np.prod(bundle.shape))])),
        Bad("too many pictures", bundle.ask(zeros * 99, shape=[99, *bundle.shape[1:]])),
        Bad("no picture", bundle.ask(b"", shape=[0, *bundle.shape[1:]])),
        Bad("an overflowing shape", bundle.ask(zeros, shape=[2**62] * len(bundle.shape))),
        Bad("a negative shape", bundle.ask(zeros, shape=[-1, *bundle.shape[1:]]), unreadable),
        Bad("another type", bundle.ask(zeros, datatype=_OTHER_TYPES[kind])),
        Bad("no type", bundle.ask(zeros, datatype="FP31")),
        Bad("another input", bundle.ask(zeros, name="nothing")),
        Bad("another model", bundle.ask(zeros, model="nothing")),
        Bad("a path as model", bundle.ask(zeros, model="../../etc/passwd")),
        Bad("a truncated tensor", bundle.ask(zeros[:100])),
        Bad("fewer bytes than said", bundle.ask(zeros[:100], size=size)),
        Bad("more bytes than said", bundle.ask(zeros, size=100)),
        Bad("a negative size", bundle.ask(zeros, size=-1), unreadable),
        Bad("a request that ends too early", bundle.ask(zeros)[:-100], (CLOSED,), ends=True),
        Bad("a huge length", length(whole, str(10**12)), (*_REFUSED, CLOSED), ends=True),
        Bad("an overflowing length", length(whole, str(10**30)), (400, CLOSED)),
        Bad("a negative length", length(whole, "-1"), (400, CLOSED)),
        Bad("no length", length(whole, "")),
        Bad("JSON longer than all", length("Inference-Header-Content-Length", str(10**12))),
        Bad("JSON of negative length", length("Inference-Header-Content-Length", "-1")),
        Bad("JSON cut off", length("Inference-Header-Content-Length", "9"), unreadable),
        Bad("no gzip", length("Content-Encoding", "gzip")),
        Bad("no JSON", bundle.post(b"\xff\x00 no JSON"), unreadable),
        Bad("a list", bundle.post(b"[]"), unreadable),
        Bad("inputs of text", bundle.post(b'{"inputs": "x"}'), unreadable),
        Bad("inputs of a number", bundle.post(b'{"inputs": [3]}'), unreadable),
        Bad("words as pixels", values(["a"] * size), unreadable),
        Bad("few pixels", values([1, 2, 3]), unreadable),
        Bad("GET", b"GET /v2/models/x/infer HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        Bad("no HTTP", b"\x16\x03\x01 hello\r\n\r\n", (400, CLOSED)),
        Bad("a long head", b"POST / HTTP/1.1\r\nX: " + b"x" * 10**6 + b"\r\n\r\n", (400, CLOSED)),
    ]
    if kind == "uint8":
        bad.append(Bad("NaN", values([float("nan")] * size), unreadable))
    return tuple(bad)


def deadly_requests(bundle: Bundle) -> tuple[Bad, ...]:
    """Return requests that end Triton's releases before 26.05, and are refused by later ones.

    JSON is parsed by recursion there (triton-inference-server/common, pull request 156), and the
    stack has an entry for each chunk of a body (CVE-2025-23310).
    """
    head = bundle.ask(b"").partition(b"\r\n\r\n")[0]
    kept = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    chunked = b"\r\n".join([*kept, b"Transfer-Encoding: chunked", b"", b""])
    return (
        Bad("deeply nested JSON", bundle.post(b'{"inputs":' + b"[" * _DEEP), (400, 500)),
        Bad("millions of chunks", chunked + b"1\r\n{\r\n" * _CHUNKS + b"0\r\n\r\n", (400, 413)),
    )
