from __future__ import annotations

import ast
import json

from hypothesis import given
from hypothesis import strategies as st

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
