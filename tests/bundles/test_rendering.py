from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy import bundles
from resnet_deploy.bundles.rendering import c_string, js, templates_in


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
