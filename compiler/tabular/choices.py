"""Last reduction: actions by their rank among the legal ones, where few are legal in any state.

A driver in a network of 124 links has 124 actions of which at most 6 are legal where he stands.
Tables over all of them would be nearly empty; tables over ranks are not, and the game is the same:
rank k in a state is the k-th legal action there.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts
from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Attribute, Model, Node, Player, Variable
from mfdsl.compiler.ir.reduced import Choices
from mfdsl.compiler.ir.spaces import grid_space
from mfdsl.compiler.ir.types import BOOL, INT, Type
from mfdsl.compiler.ir.walk import MEMBERS, given, reachable
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, Piece
from mfdsl.compiler.tabular.naming import free_name, names_in
from mfdsl.compiler.tabular.points import positions
from mfdsl.compiler.tabular.rebuild import copied, rebuilt

MOST_PAIRS = 1 << 24  # of state and action: smaller tables keep the actions of the spec
MOST_MASKS = 1 << 24  # entries of a table of what is legal
WORTH = 2  # times fewer ranks than actions
OTHERS = ("time", "param", "index")


def ranks(model: Model) -> int | None:
    """The most legal actions of any state where tables have ranks, None where they have actions.

    They have ranks when tables over all actions are large, which actions are legal depends on
    states only, and few are.
    """
    if not model.tabular or model.population.legal is None:
        return None
    only = model.population
    actions = _count(model, only.actions)
    if _count(model, only.states) * actions <= MOST_PAIRS or not _reads_states_only(model):
        return None
    if _count(model, _states_read(model)) * actions > MOST_MASKS:
        return None
    most = int(_legal(model).sum(-1).max())
    return most if most * WORTH <= actions else None


def with_choices(model: Model) -> tuple[Model, Choices]:
    """The tabular model with ranks in place of actions, and what they stand for."""
    legal = _legal(model)
    counts = legal.sum(-1)
    most = int(counts.max())
    ranked = np.argsort(~legal, axis=-1, kind="stable")[..., :most]
    beyond = np.arange(most) >= counts[..., None]
    ranked = np.where(beyond, ranked[..., :1], ranked)
    flat = np.concatenate([ranked, counts[..., None]], -1).reshape(-1, most + 1)
    rows, row_of = np.unique(flat, axis=0, return_inverse=True)
    only, read = model.population, _states_read(model)
    choices = Choices(
        axis=free_name("_".join(v.name for v in only.actions) + "_rank", names_in(model)),
        states=tuple(s.name for s in read),
        row_of=row_of.reshape(counts.shape),
        rows=rows[:, :-1],
    )
    return _Ranked(model, choices, rows[:, -1]).model(), choices


class _Ranked:
    """The copy of a model in which an action is an entry of a table of the legal ones."""

    def __init__(self, model: Model, choices: Choices, counts: NDArray[np.int64]) -> None:
        self.original, self.choices, self.counts = model, choices, counts
        self.builder = Builder()
        self.ranks = positions(choices.rows.shape[1])
        self.copier = Copier(model, self.builder, self._leaf)

    def model(self) -> Model:
        """The copy."""
        only = self.original.population
        same = copied(self.original, only.model_copy(update={"legal": None}), self.copier)
        doc = "rank among the legal actions"
        kind = self.builder.type_index(self.ranks)
        changes = {
            "actions": (Variable(name=self.choices.axis, type=kind, doc=doc),),
            "legal": self._within(only),
        }
        return rebuilt(self.original, self.builder, [same.model_copy(update=changes)])

    def _within(self, only: Player) -> int:
        """That a rank is below the number of legal actions."""
        count = self._entry(self.counts, [self._row(None)], INT)
        return self.builder.add("lt", [self._own("action", None), count], None, BOOL)

    def _leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        """What stands for an action, of oneself or of a member of a mean."""
        if not node.op.endswith("action"):
            return None
        depth = int(node.attr[0]) if isinstance(node.attr, tuple) else None
        name = node.attr[1] if isinstance(node.attr, tuple) else node.attr
        actions = self.original.population.actions
        sizes = [self.original.types[a.type].size for a in actions]
        place = next(k for k, a in enumerate(actions) if a.name == name)
        values = np.unravel_index(self.choices.rows, sizes)[place] + kind.first
        return self._entry(values, [self._row(depth), self._own("action", depth)], kind)

    def _row(self, depth: int | None) -> int:
        """The row of the table at the states of oneself, or of a member."""
        found = []
        for state in _states_read(self.original):
            kind = self.original.types[state.type]
            leaf = self._own("state", depth, state.name, kind)
            if kind.kind == "bool":
                leaf = self.builder.add("ind", [leaf], None, INT)
            first = self.builder.const(-kind.first, INT)
            found.append(self.builder.add("add", [leaf, first], None, INT) if kind.first else leaf)
        if not found:  # the same actions are legal everywhere
            return self.builder.const(0, INT)
        return self._entry(self.choices.row_of, found, INT)

    def _own(
        self, sort: str, depth: int | None, name: str | None = None, kind: Type | None = None
    ) -> int:
        """The leaf of a variable, by default of the rank."""
        name, kind = name or self.choices.axis, kind or self.ranks
        attr: Attribute = name if depth is None else (depth, name)
        return self.builder.add(sort if depth is None else f"peer_{sort}", (), attr, kind)

    def _entry(self, table: NDArray[np.int64], places: list[int], kind: Type) -> int:
        array = self.builder.array(table.shape, table.ravel().tolist(), None, "int")
        return self.builder.add("element", [array, *places], None, kind)


def _count(model: Model, variables: Sequence[Variable]) -> int:
    """The number of joint values."""
    return prod(model.types[v.type].size for v in variables)


def _under(model: Model) -> list[int]:
    """The nodes that say which actions are legal."""
    return reachable(model.nodes, [given(model.population.legal)])


def _reads_states_only(model: Model) -> bool:
    ops = {model.nodes[k].op for k in _under(model)}
    return ops.isdisjoint(OTHERS) and ops.isdisjoint(MEMBERS)


def _states_read(model: Model) -> list[Variable]:
    """The states that legality depends on, in the order of the model."""
    names = {model.nodes[k].attr for k in _under(model) if model.nodes[k].op == "state"}
    return [s for s in model.population.states if s.name in names]


def _legal(model: Model) -> NDArray[np.bool_]:
    """Whether each joint action is legal, [*sizes of the states that are read, A]."""
    only, nodes, read = model.population, model.nodes, _states_read(model)
    leaf_of = {(nodes[k].op, nodes[k].attr): k for k in _under(model)}
    variables = [*(("state", s) for s in read), *(("action", a) for a in only.actions)]
    sizes = [model.types[v.type].size for _, v in variables]
    leaves = [leaf_of.get((op, v.name)) for op, v in variables]  # None: legality does not read it
    axes = {leaf: axis for axis, leaf in enumerate(k for k in leaves if k is not None)}
    arrays = [np.asarray(a.values, dtype=np.float64).reshape(a.dims) for a in model.arrays]
    facts = Facts(nodes, model.types, {}, arrays, {g.name: grid_space(g) for g in model.grids}, 0)
    value = Evaluator(facts, axes).value(given(only.legal))
    legal = np.broadcast_to(value.lo > 0, [sizes[leaves.index(leaf)] for leaf in axes])
    unread = [axis for axis, leaf in enumerate(leaves) if leaf is None]
    legal = np.broadcast_to(np.expand_dims(legal, unread), sizes)
    return legal.reshape(*sizes[: len(read)], -1)
