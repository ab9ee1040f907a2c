from __future__ import annotations

import ast
import json
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy import bundles
from resnet_deploy.bundles.rendering import (
    ESCAPES,
    Written,
    c_string,
    check_template,
    js,
    number,
    render,
    templates_in,
    word,
    words,
    written,
)
from resnet_deploy.errors import ArtifactError


@given(st.text())
def test_c_string_spells_the_utf8_bytes(text):
    literal = c_string(text)
    # Python reads octal escapes of bytes as C does.
    assert ast.literal_eval(f"b{literal}") == text.encode(errors="strict")
    assert "??" not in literal
    assert "\\" not in text or "\\134" in literal


@given(st.text())
def test_js_is_json_that_ends_no_script(text):
    literal = js(text)
    assert json.loads(literal) == text
    assert "<" not in literal
    assert literal.isascii()


@pytest.mark.parametrize(
    "source",
    [
        "{{ name }}",
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
    environment = jinja2.Environment(autoescape=True)
    environment.filters.update(ESCAPES)
    with pytest.raises(jinja2.TemplateAssertionError, match="needs one of the filters c_string"):
        check_template(environment.parse(source), "a.md")


@pytest.mark.parametrize(
    "source", ["text", "{{ 'own' }}", "{{ name | js }}", "{{ name | word if x else 'nullptr' }}"]
)
def test_a_template_may_print_its_own_text_and_what_was_escaped(source):
    environment = jinja2.Environment(autoescape=True)
    environment.filters.update(ESCAPES)
    check_template(environment.parse(source), "a.md")


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
