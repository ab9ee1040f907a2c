"""Names of classes that other exporters leave in a file."""

from __future__ import annotations

import pytest

from resnet_deploy.artifact.metadata import class_names


@pytest.mark.parametrize(
    "text",
    [
        "{0: 'cat', 1: 'dog'}",
        "{1: 'dog', 0: 'cat'}",
        '{"0": "cat", "1": "dog"}',
        '["cat", "dog"]',
        "['cat', 'dog']",
        "('cat', 'dog')",
        " ['cat',  ' dog']\n",
    ],
)
def test_names_are_a_list_or_a_map(text: str) -> None:
    assert class_names({"names": text}) == ("cat", "dog")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cat",
        "3",
        "{0: 'cat', 2: 'dog'}",
        "{'a': 'cat'}",
        "['cat', 1]",
        "['a\\x1b[31m']",
        "__import__('os').system('true')",
        "[" * 100_000,
        "(" * 100,
        "9" * 2_000_000,
        "{0: 'a'",
        "{[]: 1}",
        "{-1: 'a'}",
        "\0",
        "{1e999: 'a'}",
        "{0: 'cat', 1.5: 'dog'}",
        "{0: 'cat', True: 'dog'}",
        "{'0': 'cat', '\uff11': 'dog'}",
        "{'0': 'cat', '1_': 'dog'}",
        "-" * 1_000_000 + "1",
        "1+" * 300_000 + "1",
        "~" * 1_000_000,
        "a." * 300_000 + "a",
    ],
)
def test_what_is_no_list_of_names_is_none(text: str) -> None:
    assert class_names({"names": text}) == ()


def test_a_file_without_names() -> None:
    assert class_names({}) == ()
