"""Functions of emitted modules, with all that their arguments do not change worked out once.

A module makes its axes, moves and masks anew at every call, which is most of the time that a small
game takes. After some calls of the same shapes a function is traced (`make_fx`), what reads no
argument becomes constant, and only the rest runs from then on.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx

PATIENCE = 300  # calls that cost about as much as a trace
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
    """The function for arguments of these shapes and strides, None where it cannot be folded."""
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        graph = make_fx(function)(*examples)
    except RuntimeError:  # a number is read from a tensor, or an operation has no trace
        return None
    known: dict[fx.Node, Any] = {}
    rest: list[fx.Node] = []
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            known[node] = getattr(graph, node.target)
        elif node.op != "call_function" or any(x not in known for x in node.all_input_nodes):
            rest.append(node)
        else:
            known[node] = node.target(*_filled(node.args, known), **_filled(node.kwargs, known))
    if any(_writes(node, known) for node in rest):
        return None
    return _compiled(rest, known)


def _filled(part: Any, known: dict[fx.Node, Any]) -> Any:
    return fx.map_arg(part, lambda node: cast(Any, known[node]))


def _writes(node: fx.Node, known: dict[fx.Node, Any]) -> bool:
    """Whether an operation that stays changes what was worked out."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.is_mutable:
        return False
    changed = [x for x, entry in zip(node.args, schema.arguments, strict=False) if entry.is_write]
    return any(isinstance(x, fx.Node) and x in known for x in changed)


def _compiled(nodes: list[fx.Node], known: dict[fx.Node, Any]) -> Function:
    """The operations that stay as one Python function; constants are its globals."""
    scope: dict[str, Any] = {}
    names: dict[fx.Node, str] = {}

    def constant(value: object) -> str:
        scope[f"c{len(scope)}"] = value
        return f"c{len(scope) - 1}"

    def text(part: Any) -> str:
        if isinstance(part, fx.Node):
            return names[part] if part in names else names.setdefault(part, constant(known[part]))
        if isinstance(part, list | tuple) and any(isinstance(x, fx.Node) for x in part):
            return "[" + ", ".join(text(x) for x in part) + "]"
        return constant(part)

    arguments, lines = [], []
    for node in nodes:
        if node.op == "placeholder":
            arguments.append(names.setdefault(node, f"x{len(names)}"))
        elif node.op == "output":
            lines.append(f"return {text(node.args[0])}")
        else:
            given = [text(x) for x in node.args]
            given += [f"{key}={text(x)}" for key, x in node.kwargs.items()]
            line = f"{constant(node.target)}({', '.join(given)})"
            lines.append(f"{names.setdefault(node, f'x{len(names)}')} = {line}")
    body = "".join(f"    {line}\n" for line in lines)
    exec(f"def run({', '.join(arguments)}):\n{body}", scope)
    return cast(Function, scope["run"])
