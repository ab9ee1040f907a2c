"""JSON, TOML and printed values of strangers: one reader, and nothing ambiguous gets through it."""

from __future__ import annotations

import ast
import io
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from safetensors.torch import save

import resnet_deploy
from resnet_deploy import api
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.output import check_replaceable
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.labels_file import read_labels_file
from resnet_deploy.errors import ArtifactError, ResnetDeployError
from resnet_deploy.graph.module_names import torch_module
from resnet_deploy.loading.config_file import read_config
from resnet_deploy.plain_values import (
    DEEPEST,
    RefusedValuesError,
    json_or_literal,
    read_text,
    strict_json,
    strict_toml,
)
from resnet_deploy.weights.weights_file import read_weights
from tests.support.cards import tiny


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 1_000_000, "nested"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested"),
        ('{"a":' * 100_000, "nested"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ("9" * 5000, "a number of 5000 digits"),
        ("-" + "9" * 5000, "a number of 5001 digits"),
        ("NaN", "NaN is not a number"),
        ("-Infinity", "-Infinity is not a number"),
        ("1e999", "1e999 is not a number"),
        ("9" * 350, "is not a number"),
        ('"\\ud800"', "surrogates"),
        ("", "Expecting value"),
        ('"abc', "Unterminated"),
        ("\0", "Expecting value"),
    ],
)
def test_json_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        strict_json(text)


def test_brackets_in_texts_are_not_counted() -> None:
    text = "[" * 1000 + '\\"' + "[" * 1000
    assert strict_json('["' + text + '", [1]]') == [text.replace('\\"', '"'), [1]]
    assert strict_json("[" * DEEPEST + "]" * DEEPEST)


def test_many_quotes_take_no_time() -> None:
    """A string that never ends is looked at once, not from each of its quotes."""
    with pytest.raises(ValueError, match="Unterminated"):
        strict_json('"' + '\\"' * 1_000_000)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"0": "cat"}', {"0": "cat"}),
        ("{0: 'cat', 1: 'dog'}", {0: "cat", 1: "dog"}),
        ("('cat', 'dog')", ("cat", "dog")),
        (" ['cat']\n", ["cat"]),
    ],
)
def test_json_and_what_python_prints(text: str, value: Any) -> None:
    assert json_or_literal(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"0": "cat", "0": "dog"}', "'0' is there twice"),
        ("{0: 'cat', 0: 'dog'}", "0 is there twice"),
        ("{1: 'cat', True: 'dog'}", "True is there twice"),
        ("[{'a': 1}, {('x', 2): {'b': 1, 'b': 2}}]", "'b' is there twice"),
        ('[NaN, "a"]', "NaN is not a number"),
        ("['\\ud800']", "half a character"),
    ],
)
def test_what_is_ambiguous_is_no_literal_either(text: str, said: str) -> None:
    with pytest.raises(RefusedValuesError, match=re.escape(said)):
        json_or_literal(text)


@pytest.mark.parametrize(
    "text",
    [
        *("cat", "{[]: 1}", "{**{}}", "f()", "('" * 9000, "-" * 100_000),
        # Python's parser reads it in the square of its parts.
        *("[f'" + "{1}" * 300_000 + "']", "['a', rF'b']"),
    ],
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        json_or_literal(text)
    assert not isinstance(caught.value, RefusedValuesError)


def test_what_python_would_take_gigabytes_to_parse() -> None:
    """Half a kilobyte a word: 10 MB of them are 5 GB."""
    for text in ("[" + "1,1" * 300_000, "[" + "1+" * 200_000, "a." * 200_000):
        with pytest.raises(RefusedValuesError, match="more than 262144 words"):
            json_or_literal(text)
    names = [f"it's {number}, \"of\" {{1}} f'x' [many]" for number in range(5_000)]
    assert json_or_literal(repr(names)) == names
    with pytest.raises(RefusedValuesError, match="more than 512 words"):
        json_or_literal(repr(names), 512)


DOTS = ".".join("a" * 9000)


@pytest.mark.parametrize(
    "text",
    [
        f"{DOTS} = 1",
        f"[{DOTS}]",
        f"[[ {DOTS} ]]",
        ".".join(["'a'"] * 9000) + " = 1",
        f"x = 1.5 # 'y\n{DOTS} = 1",
        f'x = """a"""" # two\n{DOTS} = 1',
        f"x = ['''a'''', {{{DOTS} = 1}}, 'x']",
        f'x = "a\\""\n{DOTS} = 1 # "',
        f"x = 'a\\'\n{DOTS} = 1 # '",
    ],
)
def test_keys_of_many_parts_are_not_read(text: str) -> None:
    """TOML's reader takes the square of their number: half a million, an hour."""
    with pytest.raises(RefusedValuesError, match="a key of 9000 parts"):
        strict_toml(text)


def test_dots_in_texts_are_no_parts_of_a_key() -> None:
    dots = "." * 1000
    text = f"a = '{dots}'\nb = \"{dots}\"\nc = '''\n{dots}'''\n# {dots}\n[d.'{dots}']\n"
    assert strict_toml(text) == {"a": dots, "b": dots, "c": dots, "d": {dots: {}}}


@pytest.mark.parametrize("text", ["a = 1\na = 2", "a = " + "[" * 10_000, "a = " + "9" * 5000])
def test_toml_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        strict_toml(text)


def test_the_mark_of_some_editors_is_no_part_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(tmp_path / "a") == "{}"


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    return stream.getvalue()


def _config(folder: Path) -> object:
    (folder / "config.json").write_text('{"num_classes": 3, "num_classes": 4}')
    return read_config(folder / "config.json")


def _index(folder: Path) -> object:
    state = {"a": torch.ones(1)}
    for name in ("1.safetensors", "2.safetensors"):
        (folder / name).write_bytes(save(state))
    index = folder / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}')
    return read_weights(index)


def _header(folder: Path) -> object:
    data = save({"a": torch.ones(1)})
    (count,) = struct.unpack("<Q", data[:8])
    header = b'{"__metadata__": {"k": "1", "k": "2"},' + data[9 : 8 + count]
    path = folder / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + count :])
    return read_weights(path)


def _labels(folder: Path) -> object:
    (folder / "labels.json").write_text('{"0": "cat", "0": "dog"}')
    return read_labels_file(folder / "labels.json")


def _printed_labels(folder: Path) -> object:
    (folder / "labels.txt").write_text("{0: 'cat', 0: 'dog'}")
    return read_labels_file(folder / "labels.txt")


def _image_labels(folder: Path) -> object:
    (folder / "a.png").write_bytes(_png())
    (folder / "labels.json").write_text('{"a.png": "cat", "a.png": "dog"}')
    return open_dataset(folder, labels_file=folder / "labels.json")


def _lines_of_labels(folder: Path) -> object:
    (folder / "a.png").write_bytes(_png())
    (folder / "labels.jsonl").write_text('{"file_name": "a.png", "label": "a", "label": "b"}\n' * 2)
    return open_dataset(folder, labels_file=folder / "labels.jsonl")


def _names_in_parquet(folder: Path) -> object:
    told = '{"info": {"features": {"label": {"names": ["a"], "names": ["b"]}}}}'
    table = pa.table({"image": [_png()], "label": [0]}, metadata={"huggingface": told})
    parquet.write_table(table, folder / "a.parquet")
    return open_dataset(folder / "a.parquet")


def _location_twice(folder: Path) -> object:
    model = tiny()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for name in ("a.bin", "b.bin"):
        (folder / name).write_bytes(bytes(36))
        weight.external_data.add(key="location", value=name)
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    return api.summary(folder / "a.onnx")


def _arrays_twice(folder: Path) -> object:
    np.savez(folder / "a.npz", images=np.zeros((1, 4, 4, 3), np.uint8))
    with zipfile.ZipFile(folder / "a.npz") as archive:
        data = archive.read("images.npy")
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(folder / "a.npz", "a") as archive,
    ):
        archive.writestr("images.npy", data)
    return open_dataset(folder / "a.npz")


@pytest.mark.parametrize(
    ("read", "twice"),
    [
        (_config, "num_classes"),
        (_index, "'a'"),
        (_header, "'k'"),
        (_labels, "'0'"),
        (_printed_labels, "0"),
        (_image_labels, "'a.png'"),
        (_lines_of_labels, "'label'"),
        (_names_in_parquet, "'names'"),
        (_location_twice, "'location'"),
        (_arrays_twice, "'images'"),
    ],
)
def test_what_a_file_says_twice_is_refused_by_name(
    read: Callable[[Path], object], twice: str, tmp_path: Path
) -> None:
    with pytest.raises(ResnetDeployError) as caught:
        read(tmp_path)
    assert twice in str(caught.value)
    assert re.search("twice|two values", str(caught.value))
    assert "\n" not in str(caught.value)


def test_metadata_that_says_a_class_twice_is_ignored_with_a_word(tmp_path: Path) -> None:
    model = tiny()
    model.metadata_props.add(key="names", value="{0: 'a', 1: 'b', 1: 'c'}")
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    artifact = load(tmp_path / "a.onnx")
    assert "1 is there twice" in " ".join(artifact.notices)
    assert artifact.names == ()


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a": 1, "a": 2}', b"\xff"])
def test_what_is_no_output_of_json_is_not_replaced(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="is not"):
        check_replaceable("json", tmp_path / "a.json")


def test_scopes_of_a_node_are_few() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=repr(["a"] * 9000))
    assert torch_module(node) is None


@pytest.mark.parametrize("scopes", ["{1: 2, 3: 4}", "3", "{'a', 'b'}", "[" * 9999, "['', 'a']"])
def test_scopes_that_are_no_list_name_no_module(scopes: str) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    assert torch_module(node) in (None, "")


_READ: dict[str, str] = {
    "plain_values.py": "the one reader",
    "bundles/manifest.py": "a card that was just written",
    "summarize.py": "a card that was just written",
    "training/run.py": "settings that were just written",
    "bundles/npm.py": "files of this package",
    "canonical/floats.py": "what was put into the graph as it was read",
    "training/metrics.py": "a log's lines, which are kept or dropped as they are, NaN included",
    "isa/emulated.py": "what a process of ours says, and the logits it wrote",
    "isa/guest.py": "what we say to it, where this package is not installed",
    "processes/messages.py": "what processes of ours say to each other",
    "measure/operator_times.py": "what ONNX Runtime just wrote",
    "benchmark/samples.py": "pictures that were just written",
    "benchmark/sweep.py": "pictures that were just written",
    "measure/child.py": "pictures that were just written",
}
"""Modules that read JSON, TOML, literals or arrays by the libraries' own readers, and why."""


def _readers(path: Path) -> Iterator[str]:
    called = {"json.load", "json.loads", "ast.literal_eval", "np.load", "np.fromfile"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in called:
            yield ast.unparse(node.func)
        if isinstance(node, ast.Import) and {"tomllib", "tomli"} & {n.name for n in node.names}:
            yield "tomllib"


def test_what_strangers_say_is_read_at_one_door() -> None:
    root = Path(resnet_deploy.__file__).parent
    found = {
        str(path.relative_to(root)) for path in root.rglob("*.py") if next(_readers(path), None)
    }
    assert found == set(_READ)
