from __future__ import annotations

import ast
import json
import re
from html import unescape
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml import safe_load

from resnet_deploy import bundles
from resnet_deploy.bundles.rendering import (
    LANGUAGES,
    PLAIN,
    Written,
    c_string,
    check_template,
    html,
    java,
    js,
    markdown,
    number,
    python,
    render,
    templates_in,
    word,
    words,
    written,
    yaml,
)
from resnet_deploy.errors import ArtifactError
from resnet_deploy.visible import visible
from tests.support.hostile import NAMES
from tests.support.html_reading import read


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_c_string_spells_the_utf8_bytes(text):
    literal = c_string(text)
    # Python reads octal escapes of bytes as C does.
    assert ast.literal_eval(f"b{literal}") == text.encode(errors="strict")
    assert "??" not in literal
    assert "\\" not in text or "\\134" in literal


def test_c_has_no_names_with_nul():
    with pytest.raises(ArtifactError, match=r"the name 'a\\x00b' holds NUL, where C ends a name"):
        c_string("a\0b")


@given(st.text())
def test_js_is_json_that_ends_no_script(text):
    literal = js(text)
    assert json.loads(literal) == text
    assert "<" not in literal
    assert literal.isascii()


@given(st.text(st.characters(codec=None)))
def test_java_reads_no_escape_before_the_literal(text):
    literal = java(text)
    assert literal.isascii()
    # What javac does first must leave a literal of one line.
    early = re.sub(r"\\u(....)", lambda unit: chr(int(unit[1], 16)), literal)
    body = early[1:-1]
    assert not set('"\n\r') & set(body)
    units = re.sub(r"\\([0-3][0-7][0-7])", lambda code: chr(int(code[1], 8)), body)
    assert units.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") == (
        text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    )


@given(st.text(st.characters(codec=None)))
def test_python_and_yaml_read_the_very_text(text):
    assert ast.literal_eval(python(text)) == text
    assert python(text).isascii()
    assert safe_load(f"a: {yaml(text)} # b\n") == {"a": text}


@given(st.text(st.characters(codec=None)))
def test_html_is_text_in_an_element_and_in_an_attribute(text):
    found = read(f'<p title="{html(text)}">{html(text)}</p>')
    assert found.tags == read('<p title="a">a</p>').tags
    assert unescape(html(text)) == visible(text)


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_in_markdown_is_one_line_of_text(name):
    said = markdown(name)
    assert not set("\n`*_[]|<&#$\\") & set(re.sub(r"&#\d+;", "", said))
    shown = " ".join(visible(name).split())
    assert unescape(said) == (shown if len(shown) <= 200 else f"{shown[:199]}…")


def environment() -> jinja2.Environment:
    """One with all filters, as templates have it."""
    made = jinja2.Environment(autoescape=True)
    for filters in (PLAIN, *LANGUAGES.values()):
        made.filters.update(filters)
    return made


@pytest.mark.parametrize(
    "source",
    [
        "{{ name }}",
        "{{ name | html }}",
        "{{ name | c_string }}",
        "{{ name | upper }}",
        "{{ name | js | upper }}",
        "{{ 'a' ~ name }}",
        "{{ 'a' if x else name }}",
        "{% for name in names %}{{ name }}{% endfor %}",
        "{% if x %}{{ names | join }}{% endif %}",
        "{{ name.lower() }}",
    ],
)
def test_a_template_can_not_print_what_nothing_made_harmless(source):
    with pytest.raises(jinja2.TemplateAssertionError, match="needs one of the filters number"):
        check_template(environment().parse(source), "a.mjs")


@pytest.mark.parametrize(
    "source", ["text", "{{ 'own' }}", "{{ name | js }}", "{{ name | word if x else 'nullptr' }}"]
)
def test_a_template_may_print_its_own_text_and_what_was_escaped(source):
    check_template(environment().parse(source), "a.mjs")


def test_each_language_has_its_own_filter_and_others_none():
    for suffix, filters in LANGUAGES.items():
        (own,) = filters
        for name in {name for others in LANGUAGES.values() for name in others}:
            parsed = environment().parse(f"{{{{ name | {name} }}}}")
            if name == own:
                check_template(parsed, f"a/b{suffix}")
                continue
            for other in (f"a/b{suffix}", "CMakeLists.txt", "Dockerfile", "a.kts", "a.cmake"):
                with pytest.raises(jinja2.TemplateAssertionError, match="filters number"):
                    check_template(parsed, other)


def test_every_template_is_checked_when_it_is_read(monkeypatch):
    source = ("{{ name }}", "a.md", lambda: True)
    monkeypatch.setattr(jinja2.PackageLoader, "get_source", lambda *_: source)
    with pytest.raises(jinja2.TemplateAssertionError, match="needs one of the filters"):
        render("never-read-before.md", {"name": "harmless"})


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a;b", "a\nb", "a`b", "$(a)", "-rf", "../a\0", "a\u202eb", "é", "a'", 'a"', "a*/"],
)
def test_a_word_has_nothing_that_means_anything(text):
    with pytest.raises(ArtifactError, match="plain word"):
        word(text)
    with pytest.raises(ArtifactError, match="plain word"):
        words(["fine", text])


def test_words_and_numbers_as_they_are():
    assert words(["model.onnx", "1.31.1+cpu", "TYPE_FP32"]) == "model.onnx, 1.31.1+cpu, TYPE_FP32"
    assert [number(value) for value in (3, -1, 0.001, 1e-7)] == ["3", "-1", "0.001", "1e-07"]
    for value in (True, "3", None, float("nan"), float("inf")):
        with pytest.raises(ArtifactError, match="needs a number"):
            number(value)
    assert written(Written("# as it *is*")) == "# as it *is*"
    with pytest.raises(TypeError, match="who wrote it"):
        written("# whoever")


def test_templates_are_named_from_their_folder():
    assert "src/classify.cpp" in templates_in("cpp")
    assert all("/" not in name for name in templates_in("javascript"))


# Formats without comments, Markdown, and what other templates include.
_UNMARKED = {".json", ".md"}


@pytest.mark.parametrize(
    "folder", ["cpp", "javascript", "mobile", "native", "node", "triton", "web"]
)
def test_every_source_names_its_licence_at_the_top(folder):
    templates = Path(bundles.__file__).with_name("templates")
    for name in templates_in(folder):
        path = templates / folder / name
        if path.suffix not in _UNMARKED:
            top = path.read_text(encoding="utf-8").splitlines()[:2]
            assert any("SPDX-License-Identifier: Apache-2.0" in line for line in top), path
