"""Loads emitted module text as a Program: pure tensor functions together with their sizes.

The text is checked against an allow-list before it runs, and its lines show up in tracebacks.
"""

import ast
import hashlib
import linecache
import math
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal, Protocol, Self, cast

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import ABI, Model, Variable
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.emitted import KEPT_MODULES, EmittedModule
from mfdsl.runtime.policy import TRUTH, Axis

HorizonKind = Literal["finite", "infinite", "stationary"]
Number = float | Sequence["Number"]

ALLOWED_IMPORTS = frozenset({"torch", "typing"})
ALLOWED_OPERATORS = frozenset({"torch.ops.mfdsl.w2"})
FORBIDDEN_NAMES = frozenset(
    "exec eval compile open input getattr setattr delattr globals locals vars breakpoint".split()
)
FORBIDDEN_TORCH = frozenset(
    "classes compile distributed hub jit load multiprocessing ops package save serialization "
    "utils".split()
)
REQUIRED = (
    "NAME POPULATION HORIZON HORIZON_KIND DISCOUNT STATES ACTIONS NOISES SUCCESSORS_READ "
    "WEIGHTS_READ REWARDS_READ LEGAL_READ MASKED HAS_FINAL default_params initial_law field legal "
    "successors weights rewards final_rewards push step"
).split()


class ProgramError(ValueError):
    """The module text is not a program this runtime can run; the message says why."""


class Params(Protocol):
    """Parameter tensors of a program: a named tuple whose first field is `unit` (1.0).

    A scalar is 0-d, or [B] when it differs over the batch; an array is [*dims] or [B, *dims].
    """

    unit: Tensor
    _fields: tuple[str, ...]

    def _replace(self, **values: Tensor) -> Self: ...

    def _asdict(self) -> dict[str, Tensor]: ...


Most = Callable[[Params, Collection[str]], float | None]


@dataclass(frozen=True, eq=False)
class Program:
    """A loaded module with its sizes; `module` holds the emitted functions.

    `states`, `actions` and `noises` give the number of values of each variable, in axis order.
    More than one of `populations` lie along the first axis of states, each with the same mass.
    `exact` is false when the tables only stand for a game with continuous variables; `grids` has
    the lowest point and the step of those that lie on grids. `most` says for parameters, given the
    names of those with a batch axis, how far from 0 rewards are at most, at any law and stage of
    all these games, None where it does not know.
    """

    module: types.ModuleType
    text: str = field(repr=False)
    model: Model | None = field(repr=False)
    name: str
    population: str
    states: dict[str, int]
    actions: dict[str, int]
    noises: dict[str, int]
    horizon: int | None
    kind: HorizonKind
    discount: float
    populations: tuple[str, ...]
    exact: bool = True
    grids: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    most: Most | None = None

    @property
    def state_count(self) -> int:
        """Number of joint states S."""
        return math.prod(self.states.values())

    @property
    def action_count(self) -> int:
        """Number of joint actions A."""
        return math.prod(self.actions.values())

    @property
    def noise_count(self) -> int:
        """Number of joint noise outcomes K."""
        return math.prod(self.noises.values())

    @property
    def key(self) -> str:
        """Hash of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def state_axes(self) -> tuple[Axis, ...]:
        """The state axes with the names of their values where the model gives them."""
        return self._both_axes[0]

    def action_axes(self) -> tuple[Axis, ...]:
        """The action axes with the names of their values where the model gives them."""
        return self._both_axes[1]

    @cached_property
    def _both_axes(self) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
        player = self.model.population if self.model else None
        groups = (player.states, player.actions) if player else ((), ())
        states, actions = (
            tuple(self._on_grid(axis) for axis in _axes(sizes, self.model, variables))
            for sizes, variables in zip((self.states, self.actions), groups, strict=True)
        )
        return states, actions

    def _on_grid(self, axis: Axis) -> Axis:
        if axis.name not in self.grids:
            return axis
        low, step = self.grids[axis.name]
        return replace(axis, low=low, step=step)

    def params(
        self,
        overrides: Mapping[str, Number] | None = None,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Params:
        """Parameter tensors; a list in place of a number makes a batch [B].

        Raises:
            ProgramError: a name is unknown, a value has the wrong shape, or two lists differ
                in length.
        """
        defaults = cast(Params, self.module.default_params(dtype=dtype, device=device))
        params = overridden(defaults, overrides or {}, self.name, self.model)
        self.batch_of(params)
        return params

    def batched(self, params: Params) -> dict[str, int]:
        """The parameters with a batch axis, and its length."""
        return _batched(self.module, params)

    def batch_of(self, params: Params) -> int:
        """Length B of the batch axis of the parameters, 1 without one.

        Raises:
            ProgramError: two parameters have batches of different lengths.
        """
        return batch_of(self.module, params)


def batch_of(module: types.ModuleType, params: Params) -> int:
    """Length B of the batch axis of the parameters of a module, 1 without one.

    Raises:
        ProgramError: two parameters have batches of different lengths.
    """
    lengths = _batched(module, params)
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ProgramError(f"lists of parameter values must have one length, here {listed}")
    return next(iter(lengths.values()), 1)


def _batched(module: types.ModuleType, params: Params) -> dict[str, int]:
    dimensions = {name: value.ndim for name, value in module.default_params()._asdict().items()}
    return {
        name: value.shape[0]
        for name, value in params._asdict().items()
        if value.ndim == dimensions[name] + 1
    }


def overridden(
    defaults: Params, overrides: Mapping[str, Number], game: str, model: Model | None
) -> Params:
    """Parameters with some values replaced.

    Raises:
        ProgramError: a name is unknown, or a value has the wrong shape.
    """
    known = [name for name in defaults._fields if name != "unit"]
    changes = {}
    for name, value in overrides.items():
        if name not in known:
            raise ProgramError(_unknown_parameter(game, model, name, known))
        changes[name] = _parameter(name, value, getattr(defaults, name))
    return defaults._replace(**changes)


def load_program(
    text: str,
    model: Model | None = None,
    name: str = "game",
    *,
    populations: Sequence[str] = (),
    exact: bool = True,
    grids: Mapping[str, tuple[float, float]] | None = None,
    most: Most | None = None,
) -> Program:
    """Run emitted module text and return it as a Program.

    `populations` are those along the first axis of states, by default the one of the module.

    Raises:
        ProgramError: the text does not parse, does something a compiled game never does,
            lacks part of the contract, or was compiled for another version of it.
    """
    module = checked_module(text, name, REQUIRED)
    return Program(
        module=module,
        text=text,
        model=model,
        name=module.NAME,
        population=module.POPULATION,
        states=dict(module.STATES),
        actions=dict(module.ACTIONS),
        noises=dict(module.NOISES),
        horizon=module.HORIZON,
        kind=module.HORIZON_KIND,
        discount=float(module.DISCOUNT),
        populations=tuple(populations) or (module.POPULATION,),
        exact=exact,
        grids=dict(grids or {}),
        most=most,
    )


def checked_module(text: str, name: str, required: Sequence[str]) -> types.ModuleType:
    """Run emitted text after a check against the allow-list; its lines show up in tracebacks.

    Raises:
        ProgramError: the text is not a compiled game that has all of `required`.
    """
    path = f"<mfdsl {name} {hashlib.sha256(text.encode()).hexdigest()[:8]}>"
    code = _checked(text, path)
    if "torch.ops.mfdsl" in text:
        import mfdsl.runtime.transport  # noqa: F401  registers the operator
    module = EmittedModule(text, name, required)
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    try:
        exec(code, module.__dict__)
    except Exception as error:
        raise ProgramError(f"the module {name} does not run: {error}") from error
    _check_contract(module, name, required)
    module.let_tuples_be_pickled()
    return module


@lru_cache(maxsize=KEPT_MODULES)
def _checked(text: str, path: str) -> types.CodeType:
    """The code of a text that the allow-list lets pass; a game that is loaded again is not read."""
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError) as error:
        raise ProgramError(f"the module text is not Python: {error}") from error
    _check_allowed(tree)
    code: types.CodeType = compile(tree, path, "exec")
    return code


def _operators(tree: ast.Module) -> set[ast.AST]:
    """The nodes `torch.ops` of the operators that a compiled game may use."""
    return {
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and isinstance(node.value.value, ast.Attribute)
        and ast.unparse(node) in ALLOWED_OPERATORS
    }


def _check_allowed(tree: ast.Module) -> None:
    operators = _operators(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if node in operators:
            continue
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=module, level=0):
                imported = [module or ""]
            case ast.ImportFrom():
                imported = ["."]
            case ast.Attribute(attr=attribute) if attribute.startswith("__"):
                raise ProgramError(f"line {line}: a compiled game has no `.{attribute}`")
            case ast.Attribute(value=ast.Name(id="torch"), attr=part) if part in FORBIDDEN_TORCH:
                raise ProgramError(f"line {line}: a compiled game does not use `torch.{part}`")
            case ast.Name(id=word) if word in FORBIDDEN_NAMES or word.startswith("__"):
                raise ProgramError(f"line {line}: a compiled game does not use `{word}`")
            case _:
                continue
        for word in imported:
            if word not in ALLOWED_IMPORTS:
                raise ProgramError(f"line {line}: a compiled game imports only torch, not `{word}`")


def _check_contract(module: types.ModuleType, name: str, required: Sequence[str]) -> None:
    abi = getattr(module, "ABI", None)
    if abi != ABI:
        raise ProgramError(
            f"the module {name} was compiled for ABI {abi}, this runtime reads ABI {ABI}; "
            "compile the spec again"
        )
    missing = [word for word in required if not hasattr(module, word)]
    if missing:
        raise ProgramError(f"the module {name} lacks {', '.join(missing)}")
    if module.HORIZON_KIND == "finite" and not module.HORIZON:
        raise ProgramError(f"the module {name} has a finite horizon of {module.HORIZON} stages")
    if module.HORIZON_KIND != "finite" and not 0 <= module.DISCOUNT < 1:
        raise ProgramError(
            f"a horizon without end needs a discount below 1, not {module.DISCOUNT} ({name})"
        )


def _parameter(name: str, value: Number, default: Tensor) -> Tensor:
    try:
        tensor = torch.tensor(value, dtype=default.dtype, device=default.device)
    except (TypeError, ValueError) as error:
        raise ProgramError(f"parameter {name}: {value!r} is not a number or a list") from error
    batch = tensor.ndim - default.ndim
    if batch not in (0, 1) or tensor.shape[batch:] != default.shape or tensor.numel() == 0:
        raise ProgramError(
            f"parameter {name} has shape {list(default.shape)}, or one more axis in front for a "
            f"batch; the value has shape {list(tensor.shape)}"
        )
    return tensor


def _unknown_parameter(game: str, model: Model | None, name: str, known: Sequence[str]) -> str:
    structural = [p.name for p in model.parameters if p.structural] if model else []
    if name in structural:
        return f"parameter {name} fixes the sizes of {game}: set it when compiling"
    return f"{game} has no parameter {name}; it has {', '.join(known) or 'none'}"


def _axes(
    sizes: Mapping[str, int], model: Model | None, variables: Sequence[Variable]
) -> tuple[Axis, ...]:
    axes, kinds = [], {variable.name: variable.type for variable in variables}
    for name, size in sizes.items():
        if model is None or name not in kinds:
            axes.append(Axis(name, size))
            continue
        axes.append(axis_of(model, name, model.types[kinds[name]], size))
    return tuple(axes)


def axis_of(model: Model, name: str, kind: Type, size: int) -> Axis:
    """The axis of a variable of this type, with the names of its values where there are some."""
    return Axis(name, size, kind.first, _labels(model, kind))


def _labels(model: Model, kind: Type) -> tuple[str, ...]:
    """The names of truth values, of the values of an enum, or of nodes, links or moves."""
    if kind.kind == "bool":
        return TRUTH
    if kind.kind == "enum":
        return next(e.values for e in model.enums if e.name == kind.name)
    if kind.kind == "move":
        return next(tuple(m[0] for m in g.moves) for g in model.grids if g.name == kind.name)
    if kind.kind not in ("node", "link"):
        return ()
    graph = next(g for g in model.graphs if g.name == kind.name)
    if kind.kind == "node":
        return graph.nodes
    ends = ((graph.nodes[tail], graph.nodes[head]) for tail, head in graph.links)
    return tuple(f"{graph.name}[{tail}, {head}]" for tail, head in ends)
