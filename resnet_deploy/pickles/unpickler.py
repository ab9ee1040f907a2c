"""A pickle machine that calls nothing: every class and function of a file is a name.

Python's own (``pickle.Unpickler``, and PyTorch's restricted one) build what a file asks for with
the classes that it names, which is what makes pickles programs. Here a name is looked up in a table
of this package's own builders; all others leave an inert :class:`StandIn` with what the file says.
What Python's machine does unasked is bounded too: allocating what a length claims, a memo as long
as its highest index, hashing keys that are tuples of tuples of tuples, copying long arguments again
and again.

Source: https://github.com/python/cpython/blob/main/Lib/pickle.py, ``_Unpickler``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from resnet_deploy.pickles.arguments import VALUES, Reader
from resnet_deploy.pickles.bounds import Budget, Damaged, Data, Refused
from resnet_deploy.pickles.stand_ins import Named, StandIn, name_of

Builder = Callable[[tuple[Any, ...]], Any]
"""Makes an object of the arguments that a file gives; raises ``Damaged`` where they are odd."""

_MOST_IN_A_KEY = 64
_LARGEST_KEY = 1 << 60
"""Larger integers may be chosen to have the same hash."""

_PRICE_OF_A_TUPLE = 400
"""Operations that a key costs which is a tuple: many of them may be chosen to have the same hash,
and dicts compare such keys with each other."""

_NEVER_IN_A_CHECKPOINT = frozenset(
    f"{module}.{name}"
    for modules, names in (
        (("os", "posix", "nt"), "system popen remove unlink execv execve execvp spawnl kill"),
        (("builtins",), "eval exec execfile compile __import__ open input breakpoint"),
        (("subprocess",), "Popen run call check_call check_output getoutput"),
        (("pty",), "spawn"),
        (("runpy",), "run_path run_module _run_code"),
        (("shutil",), "rmtree move"),
    )
    for module in modules
    for name in names.split()
)
"""Calls that no training makes. They would be stand-ins like others, but their files lie."""


@runtime_checkable
class _Buildable(Protocol):
    def build(self, state: Any) -> None:
        """Take the state of an object."""


class Unpickler:
    """Reads one pickle of ``data``, from ``position`` on.

    Args:
        data: bytes with a pickle in them.
        builders: dotted name -> what is really built.
        persistent: gives the object of a persistent id; with PyTorch, a storage.
        budget: pays for every operation.
        position: where the pickle begins; after :meth:`load`, where it has ended.
    """

    def __init__(
        self,
        data: Data,
        *,
        builders: Mapping[str, Builder],
        persistent: Builder,
        budget: Budget,
        position: int = 0,
    ) -> None:
        self._reader = Reader(data, position)
        self._builders = builders
        self._persistent = persistent
        self._budget = budget
        self._names: dict[str, Named] = {}
        self._memo: dict[int, Any] = {}
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []

    @property
    def position(self) -> int:
        """Where the next byte is read."""
        return self._reader.position

    def load(self) -> Any:
        """Return the content: dicts, lists, tuples, text, numbers, what was built, stand-ins.

        Raises:
            Damaged: it breaks the rules of pickles. A stack that is empty too early raises
                IndexError, odd text ValueError.
            Refused: it calls what no checkpoint calls, or has too many operations.
        """
        while True:
            opcode = self._reader.number(1)
            self._budget.operation()
            if (read := VALUES.get(opcode)) is not None:
                self._stack.append(read(self._reader))
            elif (operate := _OPERATIONS.get(opcode)) is not None:
                operate(self)
            elif opcode == pickle.STOP[0]:
                return self._stack.pop()
            else:
                raise Damaged(f"no opcode of pickles: {opcode}")

    def _skip(self, count: int) -> None:
        self._reader.take(count)

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise Damaged("an empty stack")
        items = tuple(self._stack[-count:])
        self._stack[-count:] = [items]

    def _remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise Damaged("a reference to nothing")
        self._push(self._memo[index])

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, StandIn):
            if target.elements is None:
                target.elements = []
            target = target.elements
        if not isinstance(target, list):
            raise Damaged("appends to what is not a list")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, StandIn):
            if target.entries is None:
                target.entries = {}
            target = target.entries
        if not isinstance(target, dict) or len(items) % 2:
            raise Damaged("sets items of what is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key, self._budget)] = value

    def _dict_of(self, items: list[Any]) -> None:
        self._push({})
        self._set_items(items)

    def _global(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Damaged("a name that is not text")
        full = name_of(module, name)
        self._push(self._names.setdefault(full, Named(full)))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._global(module, name)

    def _inst(self) -> None:
        self._global(self._reader.text_line(), self._reader.text_line())
        function = self._stack.pop()
        self._push(self._made(function, tuple(self._since_mark())))

    def _obj(self) -> None:
        function, *arguments = self._since_mark()
        self._push(self._made(function, tuple(arguments)))

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._push(self._made(function, arguments))

    def _new_with_keywords(self) -> None:
        keywords, arguments, function = (self._stack.pop() for _ in range(3))
        if not isinstance(arguments, tuple):
            raise Damaged("arguments that are not a tuple")
        self._push(self._made(function, (*arguments, keywords) if keywords else arguments))

    def _made(self, function: Any, arguments: Any) -> Any:
        """Return what our builder makes where Python would call ``function``; or a stand-in."""
        if not isinstance(arguments, tuple):
            raise Damaged("arguments that are not a tuple")
        self._budget.copies(len(arguments))
        if isinstance(function, StandIn):
            return StandIn(function.of, arguments)
        if not isinstance(function, Named):
            raise Damaged("calls what is not a function")
        name = function.name
        if name in ("copyreg.__newobj__", "copyreg.__newobj_ex__", "copyreg._reconstructor"):
            created = arguments[0]
            if not isinstance(created, Named):
                raise Damaged("an object of no class")
            given = arguments[1:] if name == "copyreg.__newobj__" else ()
            return self._made(created, given)
        if (builder := self._builders.get(name)) is not None:
            return builder(arguments)
        if name in _NEVER_IN_A_CHECKPOINT:
            raise Refused(
                f"holds code, not only data: {name}; refused, it was not run. Don't trust this "
                "file: get another from whom you trust"
            )
        return StandIn(name, arguments)

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, _Buildable):
            target.build(state)
        # A dict's is the metadata of a state dict, a tensor's its Python attributes: left out.


def checked_key(key: Any, budget: Budget) -> Any:
    """Return ``key`` where a dict may hash it: text, numbers, objects, short tuples of them.

    Raises:
        Damaged: it is of another kind, or a tree of tuples.
        Refused: there were too many tuples.
    """
    if isinstance(key, tuple):
        budget.operation(_PRICE_OF_A_TUPLE)
    parts = [key]
    for part in parts:
        if isinstance(part, tuple):
            if len(parts) + len(part) > _MOST_IN_A_KEY:
                raise Damaged("a key of too many parts")
            parts += part
        elif isinstance(part, int) and abs(part) >= _LARGEST_KEY:
            raise Damaged("a key that is a huge number")
        elif isinstance(part, list | dict):
            raise Damaged(f"a key that is a {type(part).__name__}")
    return key


_WRITTEN: dict[bytes, Callable[[Unpickler], None]] = {
    pickle.PROTO: lambda machine: machine._skip(1),
    pickle.FRAME: lambda machine: machine._skip(8),
    pickle.MARK: Unpickler._mark,
    pickle.POP: Unpickler._pop,
    pickle.POP_MARK: lambda machine: machine._since_mark().clear(),
    pickle.DUP: lambda machine: machine._push(machine._stack[-1]),
    pickle.TUPLE: lambda machine: machine._push(tuple(machine._since_mark())),
    pickle.TUPLE1: lambda machine: machine._tuple(1),
    pickle.TUPLE2: lambda machine: machine._tuple(2),
    pickle.TUPLE3: lambda machine: machine._tuple(3),
    pickle.LIST: lambda machine: machine._push(machine._since_mark()),
    pickle.FROZENSET: lambda machine: machine._push(machine._since_mark()),
    pickle.DICT: lambda machine: machine._dict_of(machine._since_mark()),
    pickle.APPEND: lambda machine: machine._append([machine._stack.pop()]),
    pickle.APPENDS: lambda machine: machine._append(machine._since_mark()),
    pickle.ADDITEMS: lambda machine: machine._append(machine._since_mark()),
    pickle.SETITEM: lambda machine: machine._set_items(
        [machine._stack.pop(), machine._stack.pop()][::-1]
    ),
    pickle.SETITEMS: lambda machine: machine._set_items(machine._since_mark()),
    pickle.PUT: lambda machine: machine._remember(int(machine._reader.line()[:20])),
    pickle.BINPUT: lambda machine: machine._remember(machine._reader.number(1)),
    pickle.LONG_BINPUT: lambda machine: machine._remember(machine._reader.number(4)),
    pickle.MEMOIZE: lambda machine: machine._remember(len(machine._memo)),
    pickle.GET: lambda machine: machine._recall(int(machine._reader.line()[:20])),
    pickle.BINGET: lambda machine: machine._recall(machine._reader.number(1)),
    pickle.LONG_BINGET: lambda machine: machine._recall(machine._reader.number(4)),
    pickle.GLOBAL: lambda machine: machine._global(
        machine._reader.text_line(), machine._reader.text_line()
    ),
    pickle.STACK_GLOBAL: Unpickler._stack_global,
    pickle.INST: Unpickler._inst,
    pickle.OBJ: Unpickler._obj,
    pickle.REDUCE: Unpickler._reduce,
    pickle.NEWOBJ: Unpickler._reduce,
    pickle.NEWOBJ_EX: Unpickler._new_with_keywords,
    pickle.BUILD: Unpickler._build,
    pickle.PERSID: lambda machine: machine._push(
        machine._persistent((machine._reader.text_line(),))
    ),
    pickle.BINPERSID: lambda machine: machine._push(machine._persistent(machine._stack.pop())),
}
_OPERATIONS = {opcode[0]: operate for opcode, operate in _WRITTEN.items()}
