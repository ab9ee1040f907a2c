"""Which lines of the modules that read files have run.

Only bodies of functions count: what runs at import says nothing of a file. A function whose lines
have all run is traced no more, so that a long run is hardly slower than one without.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import resnet_deploy
from tests.fuzz.doors import Surface

_PACKAGE: Final = Path(resnet_deploy.__file__).parent

Line = tuple[str, int]


def lines_of(module: str, beyond: Collection[str] = ()) -> frozenset[Line]:
    """Return the lines in functions of the file ``module``, a path below the package.

    Functions called as in ``beyond`` are left out, and so are those of a protocol, which only say
    what others do.
    """
    path = str(_PACKAGE / module)
    source = Path(path).read_text(encoding="utf-8")
    bodies: set[int] = set()
    outside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
            (outside if node.name in beyond or _says_nothing(node) else bodies).update(body)
    bodies -= outside
    found: set[int] = set()
    codes = [compile(source, path, "exec", dont_inherit=True)]
    while codes:
        code = codes.pop()
        found.update(line for _, _, line in code.co_lines() if line)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset((module, line) for line in found & bodies)


def _says_nothing(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Expr) and (
        isinstance(last.value, ast.Constant) and last.value.value is ...
    )


class Coverage:
    """Counts lines of the modules of ``surfaces`` while :meth:`watching`.

    Of a module that several of them read, what is beyond all of them is left out.
    """

    def __init__(self, *surfaces: Surface) -> None:
        self.lines: dict[str, frozenset[Line]] = {}
        for surface in surfaces:
            for module in surface.modules:
                own = lines_of(module, surface.beyond)
                self.lines[module] = own | self.lines.get(module, frozenset())
        self._names = {str(_PACKAGE / module): module for module in self.lines}
        self.seen: set[Line] = set()
        self._left: dict[CodeType, set[int]] = {}

    @property
    def share(self) -> float:
        """Share of the lines that have run."""
        every = frozenset().union(*self.lines.values())
        return len(every & self.seen) / max(1, len(every))

    def missing(self) -> list[str]:
        """Return ``module:line`` of what has not run."""
        every = frozenset().union(*self.lines.values())
        return [f"{module}:{line}" for module, line in sorted(every - self.seen)]

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Count what runs in this thread."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        code = frame.f_code
        left = self._left.get(code)
        if left is None:
            left = self._left[code] = self._lines_in(code)
        return self._ran if left else None

    def _lines_in(self, code: CodeType) -> set[int]:
        module = self._names.get(code.co_filename)
        if module is None:
            return set()
        own = {line for _, _, line in code.co_lines() if line}
        return {line for line in own if (module, line) in self.lines[module] - self.seen}

    def _ran(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            left = self._left[frame.f_code]
            if frame.f_lineno in left:
                left.discard(frame.f_lineno)
                self.seen.add((self._names[frame.f_code.co_filename], frame.f_lineno))
        return self._ran
