"""The check of wording finds what it is for, where it stands, and leaves code alone."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from docgen.prose.__main__ import files, main
from docgen.prose.rules import STYLE, findings
from docgen.prose.texts import c_like, hash_comments, markdown, python
from tests.support.markdown import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MODULE = '''"""Says nothing.

It is `simply` :class:`very` good.
"""

import sys  # for ever

simply = "very" + sys.argv[0]
SAID = f"the net in {simply} the " "box of course.\\nBut not here"
'''


def words(text: str) -> str:
    return " ".join(re.findall(r"[\w-]+|§", text))


def test_of_a_module_comments_and_strings_of_several_words_are_prose() -> None:
    text = python(MODULE)
    assert text.count("\n") == MODULE.count("\n")
    assert text.splitlines()[5].split() == ["§", "§", "for", "ever"]
    assert words(text).startswith("Says nothing It is § § § good § § for ever § § § § § § ")
    assert words(text).endswith("§ the net in § the box of course § But not here")
    assert "net" not in python(MODULE, messages=False)
    assert "good" in python(MODULE, messages=False)


def test_of_a_page_neither_code_nor_addresses_are_prose() -> None:
    page = "# One\n\n```sh\ntwo\n```\n\nSee [three](four.md) in `five\nsix`, <seven> {{ eight }}.\n"
    text = markdown(page)
    assert text.count("\n") == page.count("\n")
    assert words(text) == "One § See three § in § § §"


def test_of_other_code_comments_and_messages_are_prose() -> None:
    code = '// one\nint two = 3; /* four\n * five */\nsay("six seven", "eight");\nx = `n ${y}`;\n'
    text = c_like(code)
    assert text.count("\n") == code.count("\n")
    assert words(text) == "one § four five § six seven § § § n § §"
    assert words(hash_comments("# one\nkey = 'two'  # three\na#b\n")) == "one § three §"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.md", "one\nIn Pytorch, it", '2: write PyTorch, not "Pytorch"'),
        ("a.md", "An artefact is", '1: the glossary calls it artifact, not "artefact"'),
        ("a.md", "which is gray", '1: spell it grey, not "gray"'),
        ("a.py", "# it can't be\n# had here", '1: plain English for "can\'t be had"'),
        ("a.py", "x('a.txt: it is no '\n  'file of')", '1: plain English for "is no file"'),
        ("a.cpp", '// fine\n// it is very quick"', '2: "very" claims and does not say'),
        ("a.md", "what is there, else not", '1: plain English for "else"'),
        ("a.toml", "x = 1  # of the\n# the", '1: a word stands twice: "the the"'),
        ("a.py", "x('as free as a gift, first of all')", "1: Redundancy."),
    ],
)
def test_what_is_to_be_worded_otherwise_is_found_where_it_stands(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = [f"{line}: {message}" for _, line, message in findings(tmp_path / name)]
    assert len(found) == 1
    assert found[0].startswith(said)


def test_what_is_said_well_passes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "There is no file here.\nInt8 is `simply` half as large; ONNX Runtime runs it.\n"
    )
    assert findings(page) == []


def test_every_phrase_that_is_refused_can_be_met(tmp_path: Path) -> None:
    """A pattern that matches nothing would pass for a rule."""
    style = tomllib.loads(STYLE.read_text(encoding="utf-8"))
    page = tmp_path / "page.md"
    for section in ("names", "terms", "spelling", "phrases", "weasel", "pages"):
        for pattern in style[section]:
            if "(?<" in pattern:
                continue
            # The first of the choices, without what may be left out.
            example = re.sub(r"\([^()]*\)\?|.\?", "", pattern)
            while "(" in example:
                example = re.sub(r"\(([^()|]*)[^()]*\)", r"\1", example)
            example = re.sub(r"\[(.)[^]]*\]", r"\1", example.partition("|")[0])
            page.write_text(f"a {example} b\n", encoding="utf-8")
            assert findings(page), (pattern, example)


def test_the_terms_that_are_preferred_are_those_of_the_glossary() -> None:
    glossary = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    terms = set(re.findall(r"^\| ([^|]+) \|", glossary, re.M)) | {"multiply-accumulate", "images/s"}
    preferred = tomllib.loads(STYLE.read_text(encoding="utf-8"))["terms"].values()
    assert {term for said in preferred for term in said.split(", ")} <= terms


def test_pages_code_and_bundles_are_read_and_texts_of_others_are_not() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in files()}
    assert {
        "README.md",
        "docs/index.md",
        "resnet_deploy/errors.py",
        "resnet_deploy/bundles/templates/web/README.md",
        "resnet_deploy/bundles/templates/native/include/resnet/files.hpp",
        "tests/docgen/test_prose.py",
    } <= names
    assert not names & {"resnet_deploy/bundles/texts/zlib.txt", "README.zh.md"}


def test_findings_are_printed_and_end_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("It is powerful.\n")
    monkeypatch.setattr(sys, "argv", ["prose", str(page)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = '1: "powerful" claims and does not say: write what it does'
    assert capsys.readouterr().out == f"{page}:{said}\n"
