"""Names that mean something in a language that a name is written into, and nets that have them.

A name of a class, a tensor or a file is a stranger's: wherever it is written, it has to come out as
text. ``touch OWNED`` is what tells that one of them was obeyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from onnx import TensorProto, helper

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Accuracy, Card, WeightsSource
from resnet_deploy.artifact.onnx_file import save
from resnet_deploy.spec import Family, ModelSpec, OutputKind, OutputSpec
from tests.support.contracts import square
from tests.support.tiny_model import colour_model

LONG: Final = "x" * 10_000

PLAIN: Final = (
    # Quotes, backslashes, ends of literals and comments.
    "'",
    '"',
    "`touch OWNED`",
    "'; touch OWNED; '",
    '"; system("touch OWNED"); "',
    "ends in \\",
    "ends in two \\\\",
    "\\\" or \\' or \\` or \\0",
    '*/ system("touch OWNED"); /*',
    "// to the end \\",
    "a trigraph ??/ ??' ??)",
    'R"(raw)"',
    "%:include <OWNED>",
    "\\u0022 + touch(OWNED) + \\u0022",
    "\\u000a System.exit(1);",
    "\\x22 \\042 \\N{DIGIT ONE}",
    # Shells, make, CMake, batch files.
    "$(touch OWNED)",
    "${HOME} $HOME $$",
    "; touch OWNED #",
    "& touch OWNED & | touch OWNED",
    "> OWNED",
    "!!",
    "~root/*.onnx {a,b} [a-z]?",
    "a;b;c",
    "[[x]] ]] ]=] ]==]",
    "$ENV{HOME} $<1:x> @HOME@",
    "%PATH% ^& touch OWNED",
    "--help",
    "-rf",
    "@file",
    # printf, str.format, Jinja, JavaScript's templates.
    "%n%s%d%",
    "{0} {x!r} {{x}} {% raw %} {# c #}",
    "${process.exit(9)}",
    # HTML and Markdown.
    "</script><script>document.title='OWNED'</script>",
    "<img src=x onerror=\"document.title='OWNED'\">",
    "<!-- --> <![CDATA[ ]]> <?php ?>",
    '" onmouseover="document.title=\'OWNED\'" x="',
    "&lt;b&gt; &#60; &amp; &nbsp",
    "javascript:document.title='OWNED'",
    "[x](javascript:alert(1)) ![y](//z) <https://x.y>",
    "a | b || c",
    "# a _b_ **c** ~~d~~ ## #",
    "```",
    "1. one",
    "$x^2$",
    # YAML, JSON, CSV, protobuf, paths.
    "a: b",
    "- a",
    "!!python/object/apply:os.system ['touch OWNED']",
    "null",
    "yes",
    "1e3",
    "&a *a %YAML 1.2",
    "=1+1",
    "=cmd|'/c touch OWNED'!A0",
    "a,b\t",
    "../../OWNED",
    "/etc/passwd",
    "C:\\OWNED",
    "__proto__",
    "constructor",
    # Beyond ASCII.
    "Größe 貓",
    "\N{PILE OF POO}",
    "e\N{COMBINING ACUTE ACCENT}",
    LONG,
)
"""Names of one line that a terminal shows as they are."""

STEERING: Final = (
    "two\nlines",
    "a\r\nb\rc",
    "\\\ntouch OWNED",
    "'\ntouch OWNED\n'",
    "next\x85line\x0b\x0c",
    "a\u2028b\u2029c",
    "\x1b]0;OWNED\x07\x1b[2J",
    "\x9b31m\x7f\x08",
    "a\N{RIGHT-TO-LEFT OVERRIDE}b\N{LEFT-TO-RIGHT ISOLATE}c",
    "a\N{ZERO WIDTH SPACE}b\N{ZERO WIDTH NO-BREAK SPACE}",
    "\t",
    " around ",
    "a\N{NO-BREAK SPACE}b",
    "\N{TAG LATIN SMALL LETTER A}",
)
"""Those with what ends lines, steers terminals or is not seen."""

NAMES: Final = (*PLAIN, *STEERING)
"""Whatever a protobuf's string can hold but NUL."""

IN_JAVASCRIPT: Final = tuple(name for name in NAMES if name != "__proto__")
"""Names of tensors that ONNX Runtime hands over there."""

_ALL: Final = "".join(NAMES)


def classes_model(path: Path) -> Artifact:
    """A classifier of a class for each name, whose card has them in all its other texts as well.

    Their scores differ from case to case; no two are equal.
    """
    weights = np.random.default_rng(0).normal(size=(len(NAMES), 3))
    card = Card(
        model=ModelSpec(family=Family.CUSTOM, num_classes=len(NAMES), image_size=8),
        preprocess=square(8, mean=(0, 0, 0), std=(1, 1, 1)),
        weights=WeightsSource(kind="file", file=_ALL, sha256="0" * 64),
        labels=NAMES,
        versions={_ALL: _ALL},
        accuracy=(Accuracy(data=_ALL, samples=1, top1=1.0),),
        assumed=NAMES,
    )
    return save(colour_model(weights), path, card)


def tensors_model(path: Path, names: Sequence[str] = NAMES) -> Artifact:
    """A net with an output for each name, the mean of each colour, and an input called by all."""
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 3)) for name in names]
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", [_ALL], [name], axes=[2, 3], keepdims=0) for name in names],
        _ALL,
        [helper.make_tensor_value_info(_ALL, TensorProto.FLOAT, ("N", 3, 8, 8))],
        outputs,
    )
    card = Card(
        model=ModelSpec(family=Family.CUSTOM, num_classes=0, image_size=8),
        preprocess=square(8, mean=(0, 0, 0), std=(1, 1, 1)),
        weights=WeightsSource(kind="random", seed=0),
        output=OutputSpec(kind=OutputKind.FEATURES),
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return save(model, path, card)
