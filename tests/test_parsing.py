from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from resnet_deploy.errors import SpecError
from resnet_deploy.parsing import strict_converter, structured


class Word(str, enum.Enum):
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, kw_only=True)
class Inner:
    share: float

    def __post_init__(self) -> None:
        if self.share > 1:
            raise SpecError(f"{self.share:g} is not a share")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    count: int = 0
    share: float = 0.0
    flag: bool = False
    word: Word = Word.YES
    maybe: float | None = None
    names: tuple[str, ...] = ()
    pair: tuple[int, int] = (0, 0)
    table: dict[str, float] = field(default_factory=dict)
    inner: tuple[Inner, ...] = ()
    anything: dict[str, Any] = field(default_factory=dict)


GOOD: dict[str, Any] = {
    "name": "n",
    "count": 3,
    "share": 1,
    "flag": True,
    "word": "no",
    "maybe": None,
    "names": ["a", "b"],
    "pair": [1, 2],
    "table": {"a": 0.5},
    "inner": [{"share": 0.5}],
    "anything": {"a": [1, None]},
}


def outer(**changed: Any) -> Outer:
    return structured(strict_converter(forbid_extra_keys=True), {**GOOD, **changed}, Outer)


def test_values_of_the_right_kind() -> None:
    found = outer()
    assert (found.share, type(found.share), found.word, found.pair) == (1.0, float, Word.NO, (1, 2))
    assert found.inner == (Inner(share=0.5),)
    assert found.anything == {"a": [1, None]}


@pytest.mark.parametrize(
    ("field_", "value", "said"),
    [
        ("name", 5, "name: 5 is not text"),
        ("name", None, "name: null is not text"),
        ("name", "x" * 100_000, "name: a text of 100000 letters"),
        ("count", 3.0, "count: 3.0 is not a whole number"),
        ("count", "3", "count: '3' is not a whole number"),
        ("count", True, "count: true is not a whole number"),
        ("share", "0.5", "share: '0.5' is not a number"),
        ("share", "inf", "share: 'inf' is not a number"),
        ("share", float("nan"), "share: nan is not a number"),
        ("share", 10**310, "is not a number"),
        ("share", False, "share: false is not a number"),
        ("flag", "false", "flag: 'false' is neither true nor false"),
        ("flag", 1, "flag: 1 is neither true nor false"),
        ("word", "maybe", "word: 'maybe' is none of yes, no"),
        ("word", ["yes"], "word: a list of 1 is none of yes, no"),
        ("maybe", "1", "maybe: '1' is not a number"),
        ("names", "ab", "names: 'ab' is not a list"),
        ("names", {"a": 1}, "names: an object of 1 is not a list"),
        ("names", ["a", 1], "names: 1 is not text"),
        ("pair", [1], "pair: 1 values where there are 2"),
        ("pair", [1, 2, 3], "pair: 3 values where there are 2"),
        ("pair", [1, 2.5], "pair: 2.5 is not a whole number"),
        ("table", [["a", 1]], "table: a list of 1 is not an object"),
        ("table", {"a": "1"}, "table: '1' is not a number"),
        ("inner", [5], "inner: 5 is not an object"),
        ("inner", [{}], "inner: 'share' is missing"),
        ("inner", [{"share": 0.5, "more": 1}], "inner: 'more' is nothing that it has"),
        ("inner", [{"share": 7}], "inner: 7 is not a share"),
        ("other", 1, "'other' is nothing that it has"),
    ],
)
def test_nothing_is_bent_into_shape(field_: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        outer(**{field_: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, 5, "text", [GOOD]])
def test_what_is_no_object(data: Any) -> None:
    with pytest.raises(ValueError, match="is not an object"):
        structured(strict_converter(), data, Outer)
