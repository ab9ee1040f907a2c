"""Checkpoints that spell something once and ask for it a million times: time and memory stay small.

Each file has some hundred kilobytes. Without a bound it takes minutes, or gigabytes.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.weights.weights_file import read_weights
from resnet_deploy.weights.weights_folder import digest_of, weights_in
from tests.support.world import no_hang

PROTO = b"\x80\x04"
LONG = 100_000
TIMES = 10_000


def text(word: str) -> bytes:
    data = word.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def called(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def kept(number: int) -> bytes:
    """Move what is on the stack into the memo."""
    return b"r" + struct.pack("<I", number) + b"0"


def again(*numbers: int) -> bytes:
    """Push what is in the memo."""
    return b"".join(b"j" + struct.pack("<I", number) for number in numbers)


def endless(part: bytes) -> bytes:
    """Keep a list of two lists of two lists … in 1, whose text has billions of letters."""
    data = b"]" + kept(1)
    for _ in range(34):
        data += b"(" + again(1, 1) + b"l" + kept(1)
    return PROTO + data + part


def numbers(count: int) -> bytes:
    """An array of ``count`` bytes, in 9."""
    state = b"(K\x01(" + b"M" + struct.pack("<H", count) + b"t"
    state += called("numpy", "dtype") + text("u1") + b"\x85R\x89" + text("a" * count) + b"t"
    return called("numpy.core.multiarray", "_reconstruct") + b")R" + state + b"b" + kept(9)


def storage(kind: bytes, key: bytes) -> bytes:
    return b"(" + text("storage") + kind + key + text("cpu") + b"K\x01tQ."


def arguments(function: bytes, first: bytes = b"") -> bytes:
    """Keep ``function`` in 0, long arguments in 1 and some keywords in 2, and begin a tuple."""
    long = b"(" + first + b"N" * LONG + b"t" + kept(1)
    return PROTO + long + function + kept(0) + b"}K\x01K\x01s" + kept(2) + b"("


def alike(count: int) -> list[tuple[int, int]]:
    """Return pairs of numbers that are different keys and have the same hash."""
    first, second, start, mask = (
        11400714785074694791,
        14029467366897019727,
        2870177450012600261,
        (1 << 64) - 1,
    )
    back = [pow(prime, -1, 1 << 64) for prime in (first, second)]
    found: list[tuple[int, int]] = []
    wanted = 0x1234567890ABCDEF * back[0] & mask
    wanted = (wanted >> 31 | wanted << 33) & mask
    one = 0
    while len(found) < count:
        one += 1
        lane = (start + one * second) & mask
        lane = (lane << 31 | lane >> 33) & mask
        other = (wanted - lane * first) * back[1] & mask
        if other < 1 << 60:
            found.append((one, other))
    assert len({hash(pair) for pair in found}) == 1
    return found


def pairs_as_keys() -> bytes:
    keys = (b"".join(b"\x8a\x08" + struct.pack("<Q", n) for n in pair) for pair in alike(20_000))
    return PROTO + b"}(" + b"".join(key + b"\x86N" for key in keys) + b"u."


def empty_modules() -> bytes:
    data = PROTO + called("m", "M") + b")\x81}" + text("_modules") + b"}sb" + kept(1)
    for _ in range(50):
        parts = b"}(" + text("a") + again(1) + text("b") + again(1) + b"u"
        data += called("m", "M") + b")\x81}" + text("_modules") + parts + b"sb" + kept(1)
    return data + again(1) + b"."


def buffers_left_out() -> bytes:
    names = b"".join(text(f"{number:05d}") for number in range(30_000))
    buffers = b"}(" + b"".join(text(f"b{number:05d}") + again(9) for number in range(30_000)) + b"u"
    state = b"}(" + text("_modules") + b"}" + text("_buffers") + buffers
    state += text("_non_persistent_buffers_set") + b"(" + names + b"lu"
    return PROTO + numbers(1) + called("m", "M") + b")\x81" + state + b"b."


def one_dict_in_many() -> bytes:
    inner = b"}(" + b"".join(text(f"k{n:05d}") + again(9) for n in range(LONG // 2)) + b"u"
    outer = b"}(" + b"".join(text(f"a{n:04d}") + again(1) for n in range(9_000)) + b"u."
    return PROTO + numbers(1) + inner + kept(1) + outer


def one_list_in_many() -> bytes:
    outer = b"}(" + b"".join(text(f"a{n:04d}") + again(1) for n in range(9_000)) + b"u."
    return PROTO + b"(" + b"N" * 1_000_000 + b"l" + kept(1) + outer


def dicts_in_dicts() -> bytes:
    data = PROTO + numbers(1) + b"}" + kept(1)
    for _ in range(4):
        data += b"}(" + b"".join(text(f"k{n}") + again(1) for n in range(900)) + b"u" + kept(1)
    net = b"}" + text("conv.weight") + again(9) + b"s"
    return data + b"}(" + text("model") + net + text("optimizer") + again(1) + b"u."


def one_tensor(*names: str) -> bytes:
    stream = io.BytesIO()
    torch.save({name: torch.zeros(4, 3, 3, 3) for name in names}, stream)
    return stream.getvalue()


def overlapping_entries() -> bytes:
    """A deflated archive of which each entry claims all that follows."""
    count, filler = 5_000, os.urandom(2 << 20)
    data = PROTO + b"("
    for number in range(count):
        kind = called("torch", "ByteStorage")
        data += b"(" + text("storage") + kind + text(str(number)) + text("cpu") + b"K\x01tQ"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", data + b"t.")
        archive.writestr("x/data/0", b"0")
        first = archive.infolist()[-1]
        archive.writestr(zipfile.ZipInfo("x/filler"), filler)
        first.compress_size = len(filler)
        for number in range(1, count):
            entry = zipfile.ZipInfo(f"x/data/{number}")
            for field in ("header_offset", "compress_size", "compress_type", "CRC", "file_size"):
                setattr(entry, field, getattr(first, field))
            archive.filelist.append(entry)
    return stream.getvalue()


TYPE = called("numpy", "dtype") + text("u1") + b"\x85R"
EXPENSIVE: dict[str, Callable[[], bytes]] = {
    "arguments and keywords": lambda: (
        arguments(called("a", "B")) + (again(0, 1, 2) + b"\x92") * TIMES + b"t."
    ),
    "arguments of a new object": lambda: (
        arguments(called("copyreg", "__newobj__"), called("a", "B"))
        + (again(0, 1) + b"R") * TIMES
        + b"t."
    ),
    "name of a class": lambda: (
        PROTO + text("n" * 3_000_000) + kept(1) + b"(" + (again(1, 1) + b"\x930") * 50_000 + b"t."
    ),
    "letters of an array": lambda: (
        PROTO + text("a" * 3_000_000) + kept(1) + TYPE + kept(2)
        + b"("
        + (
            called("numpy.core.multiarray", "_reconstruct")
            + b")R(K\x01)" + again(2) + b"\x89" + again(1) + b"tb"
        )
        * 2_000
        + b"t."
    ),
    "key of a storage": lambda: endless(storage(called("torch", "FloatStorage"), again(1))),
    "kind of a storage": lambda: endless(storage(again(1), text("0"))),
    "code of a dtype": lambda: endless(called("numpy", "dtype") + again(1) + b"\x85R."),
    "keys of one hash": pairs_as_keys,
    "modules without tensors": empty_modules,
    "buffers that are left out": buffers_left_out,
    "one dict in many": one_dict_in_many,
    "one list in many": one_list_in_many,
    "name of a layer": lambda: one_tensor("loss_" * 20_000 + "-.weight"),
    "digits in a name": lambda: one_tensor(f"a{'1' * 5000}b.weight"),
    "entries of an archive": overlapping_entries,
}  # fmt: skip


@pytest.mark.parametrize("kind", EXPENSIVE)
def test_what_is_spelled_once_is_not_done_a_million_times(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_deploy.loading.wrappers._MOST_PARTS", 200_000, raising=False)
    path = tmp_path / "w.pth"
    path.write_bytes(EXPENSIVE[kind]())
    assert path.stat().st_size < 10 << 20
    with no_hang(), pytest.raises(CheckpointError):
        resolve(ModelRequest(), str(path))


def test_what_lies_beside_a_net_is_not_walked_through(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(dicts_in_dicts())
    with no_hang(), pytest.raises(CheckpointError, match="holds no ResNet"):
        resolve(ModelRequest(), str(path))


def test_nets_that_share_their_tensors_are_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    real = torch.equal

    def equal(one: torch.Tensor, other: torch.Tensor) -> bool:
        compared.append(one)
        return real(one, other)

    monkeypatch.setattr(torch, "equal", equal)
    one, other = torch.zeros(2, 2), torch.zeros(2, 2)
    nets = {f"n{number}": {"fc.weight": other if number else one} for number in range(50)}
    torch.save(nets, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds no ResNet"):
        resolve(ModelRequest(), str(tmp_path / "w.pth"))
    assert len(compared) <= 2


def test_layers_that_share_one_zero_do_not_take_gigabytes(tmp_path: Path) -> None:
    shared = torch.zeros(1).expand(2048, 2048, 3, 3)
    names = [f"layer1.{block}.conv{n}.weight" for block in range(100) for n in (1, 2)]
    path = tmp_path / "w.pth"
    torch.save(dict.fromkeys(names, shared), path)
    assert path.stat().st_size < 1 << 20
    with no_hang(), pytest.raises(CheckpointError, match=r"of weights share \d MiB of memory"):
        resolve(ModelRequest(), str(path))


def test_chunks_that_claim_the_same_megabytes(tmp_path: Path) -> None:
    count = 1000
    stream = io.BytesIO()
    torch.save(torch.zeros(1), stream, _use_new_zipfile_serialization=False)
    (tmp_path / "a.distcp").write_bytes(stream.getvalue() + bytes(1 << 20))
    length = struct.pack("<i", len(stream.getvalue()) + (1 << 20))
    place = called("m", "P") + b")\x81}(" + text("relative_path") + text("a.distcp")
    place += text("offset") + b"K\0" + text("length") + b"J" + length + b"ub" + kept(1)
    index = b""
    for number in range(count):
        where = text("offset") + b"J" + struct.pack("<i", number) + b"\x85"
        index += called("m", "I") + b")\x81}(" + text("fqn") + text("w") + where + b"ub" + again(1)
    size = text("size") + b"J" + struct.pack("<i", count) + b"\x85"
    data = PROTO + place + called("m", "M") + b")\x81}("
    data += text("storage_data") + b"}(" + index + b"u" + text("state_dict_metadata")
    data += b"}" + text("w") + called("m", "T") + b")\x81}" + size + b"sbsub."
    (tmp_path / ".metadata").write_bytes(data)
    with pytest.raises(CheckpointError, match="far more memory than it holds"):
        read_weights(tmp_path / ".metadata")


def test_a_pipe_among_the_parts_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / ".metadata").write_bytes(pickle.dumps({}))
    os.mkfifo(tmp_path / "a.distcp")
    with no_hang(), pytest.raises(CheckpointError, match="of which none is beside it"):
        read_weights(tmp_path / ".metadata")
    with no_hang():
        assert len(digest_of(tmp_path / ".metadata")) == 64


def test_no_step_lies_above_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mp_rank_00_model_states.pt").write_bytes(b"x")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "latest").write_text("..")
    with pytest.raises(CheckpointError, match="is a folder without weights"):
        weights_in(tmp_path / "inner")


def test_a_tar_of_digits_is_told_at_once(tmp_path: Path) -> None:
    digits = b"1" * 1_000_000
    header = bytearray(512)
    header[:1], header[124:136], header[156:157] = b"x", b"%011o\0" % len(digits), b"x"
    header[257:263] = b"ustar\0"
    header[148:156] = b"%06o\0 " % (sum(header) + 8 * 32)
    (tmp_path / "w.pth").write_bytes(bytes(header) + digits + bytes(2048))
    with no_hang(), pytest.raises(CheckpointError, match="is a tar archive: unpack it first"):
        read_weights(tmp_path / "w.pth")


def test_a_header_of_more_tensors_than_any_net_has(tmp_path: Path) -> None:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"a{number}": empty for number in range(20_001)}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="a header of 20001 tensors"):
        read_weights(tmp_path / "w.safetensors")
