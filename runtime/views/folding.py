"""Functions of emitted modules, with all that their arguments do not change worked out once.

A module makes its axes, moves and masks anew at every call, which is most of the time that a small
game takes. After some calls of the same shapes the operations of one call are written down; what
reads no argument becomes constant, and only the rest runs from then on.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

PATIENCE = 40  # calls that cost about as much as writing one down
TRIALS = 3  # first calls that are compared with the function itself

Function = Callable[..., Tensor]
Key = tuple[Any, ...]


class Folding:
    """A function of tensors that folds itself where it is called often, with the same results.

    Nothing is folded while gradients are recorded: constants have none.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._calls: Counter[Key] = Counter()
        self._folded: dict[Key, Function] = {}

    def __call__(self, *arguments: Tensor) -> Tensor:
        """The value of the function."""
        if torch.is_grad_enabled():
            return self._function(*arguments)
        key = tuple((x.shape, x.stride(), x.dtype) for x in arguments)
        self._calls[key] += 1
        if self._calls[key] == PATIENCE:
            self._folded[key] = folded(self._function, *arguments) or self._function
        function = self._folded.get(key, self._function)
        value = function(*arguments)
        if function is not self._function and self._calls[key] < PATIENCE + TRIALS:
            wanted = self._function(*arguments)
            if not torch.equal(value, wanted):
                self._folded[key] = self._function
            return wanted
        return value


def folded(function: Function, *examples: Tensor) -> Function | None:
    """The function for arguments of these shapes and strides, None where it cannot be folded.

    That is where it reads a number from a tensor, or writes to what would be constant.
    """
    arguments = [x.detach() for x in examples]
    with _Recorder() as recorder:
        value = function(*arguments)
    varying = {_place(x) for x in arguments}
    if len(varying) < len(arguments):
        return None
    kept: list[_Call] = []
    for call in recorder.calls:
        if not any(_within(x, varying) for x in call.inputs):
            continue
        outputs = tree_leaves(call.output)
        read = not all(isinstance(x, Tensor) for x in outputs)
        hidden = any(_within(x, varying) and _place(x) not in varying for x in call.inputs)
        if read or hidden or any(_place(x) not in varying for x in call.written):
            return None
        kept.append(call)
        varying.update(_place(x) for x in outputs)
    return _compiled(kept, arguments, value)


@dataclass(frozen=True, eq=False)
class _Call:
    """An operation with what it was given and what it gave."""

    function: Any
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    output: Any

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that it was given."""
        leaves = tree_leaves((self.arguments, self.named))
        return [x for x in leaves if isinstance(x, Tensor)]

    @property
    def written(self) -> list[Tensor]:
        """The tensors that the operation changes."""
        entries = self.function._schema.arguments
        changed = [x for x, entry in zip(self.arguments, entries, strict=False) if entry.is_write]
        changed += [x for name, x in self.named.items() if name in _names_written(entries)]
        return [x for x in changed if isinstance(x, Tensor)]


def _names_written(entries: Sequence[Any]) -> set[str]:
    return {entry.name for entry in entries if entry.is_write}


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operation, those of gradients too; all tensors stay alive with it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[_Call] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Asked of each mode: to be skipped takes the import of dynamo, more than a second."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named = dict(kwargs or {})
        output = func(*args, **named)
        self.calls.append(_Call(func, args, named, output))
        return output


def _place(x: Tensor) -> Key:
    """What a tensor is a view of, and which: gradients see others of the same."""
    return (x.untyped_storage()._cdata, x.storage_offset(), x.shape, x.stride(), x.dtype)


def _within(x: Tensor, varying: set[Key]) -> bool:
    """Whether a tensor shares its memory with one of these."""
    own = _place(x)[0]
    return any(own == place[0] for place in varying)


def _compiled(calls: Sequence[_Call], arguments: Sequence[Tensor], value: Tensor) -> Function:
    """The operations that stay as one Python function; constants are its globals."""
    scope: dict[str, Any] = {}
    names = {_place(x): f"x{k}" for k, x in enumerate(arguments)}
    parameters = ", ".join(names.values())

    def constant(value: object) -> str:
        scope[f"c{len(scope)}"] = value
        return f"c{len(scope) - 1}"

    def text(part: Any) -> str:
        if isinstance(part, Tensor) and _place(part) in names:
            return names[_place(part)]
        if isinstance(part, list | tuple) and any(isinstance(x, Tensor) for x in part):
            return "[" + ", ".join(text(x) for x in part) + "]"
        return constant(part)

    lines = []
    for call in calls:
        given = [text(x) for x in call.arguments]
        given += [f"{key}={text(x)}" for key, x in call.named.items()]
        several = isinstance(call.output, list | tuple)
        outputs = call.output if several else [call.output]
        line = f"{constant(call.function)}({', '.join(given)})"
        made = [names.setdefault(_place(x), f"x{len(names)}") for x in outputs]
        lines.append(f"{', '.join(made)}{',' if several else ''} = {line}")
    lines.append(f"return {text(value)}")
    body = "".join(f"    {line}\n" for line in lines)
    exec(f"def run({parameters}):\n{body}", scope)
    return cast(Function, scope["run"])
