"""The plan of a game: which statistics of the population are needed, and how members read them.

Every mean becomes a look-up in a table that is made once per stage from a marginal of the law.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from mfdsl.compiler.backend.bounds import Range
from mfdsl.compiler.backend.expectation import Rewriter, Statistic
from mfdsl.compiler.ir.model import Array, Model, Named, Node, Place
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import REDUCTIONS, Leaves, free_leaves, given, model_roots, reachable


@dataclass(frozen=True)
class Stage:
    """What the members read of the population at a decision (or at the end).

    `scalars` are named nodes without own variables, `tables` positions in `Plan.statistics` that
    members look up at their own values; `marginals` are the sets of variables of the law that are
    needed to make both.
    """

    scalars: tuple[Named, ...]
    tables: tuple[int, ...]
    marginals: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Reads:
    """What a part of the game depends on, as in the constants of the emitted module."""

    successors: frozenset[str]
    weights: frozenset[str]
    rewards: frozenset[str]
    legal: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """A model whose means are `table` nodes (args: positions; attr: number of the statistic).

    `at` maps the nodes that the model points at to nodes of the plan; `names` gives names of lets.
    """

    model: Model
    nodes: tuple[Node, ...]
    types: tuple[Type, ...]
    arrays: tuple[Array, ...]
    leaves: tuple[Leaves, ...]
    bounds: tuple[Range, ...]
    places: Mapping[int, Place]
    at: Mapping[int, int]
    names: Mapping[int, str]
    statistics: tuple[Statistic, ...]
    running: Stage
    final: Stage
    reads: Reads

    def type_of(self, node: int) -> Type:
        """The type of a node of the plan."""
        return self.types[self.nodes[node].type]


def make_plan(model: Model) -> Plan:
    """The plan of a checked model."""
    rewriter = Rewriter(model)
    at = rewriter.rewrite(model_roots(model))
    nodes = tuple(rewriter.builder.nodes)
    leaves = tuple(rewriter.leaves)
    names: dict[int, str] = {}
    for named in model.population.lets:
        names.setdefault(at[named.node], named.name)
    places = {
        at[old]: place for old, place in enumerate(model.places) if place is not None and old in at
    }
    statistics = tuple(rewriter.statistics)
    sorting = _Sorting(model, nodes, tuple(rewriter.builder.types), leaves, names, statistics)
    return Plan(
        model=model,
        nodes=nodes,
        types=tuple(rewriter.builder.types),
        arrays=tuple(rewriter.builder.arrays),
        leaves=leaves,
        bounds=tuple(rewriter.bounds),
        places=places,
        at=at,
        names=names,
        statistics=statistics,
        running=sorting.stage([at[n] for n in running_roots(model)]),
        final=sorting.stage([at[t.node] for t in model.population.rewards if t.final]),
        reads=_reads(model),
    )


def running_roots(model: Model) -> list[int]:
    """Nodes that a decision stage evaluates."""
    population = model.population
    roots = [given(s.next) for s in population.states]
    roots += [given(n.density) for n in population.noises]
    roots += [term.node for term in population.rewards if not term.final]
    return roots + [named.node for named in population.observe]


def table_entries(plan: Plan, statistic: Statistic) -> int:
    """Entries of the table that makes a statistic, over its keys, askers and members."""
    leaves = {*statistic.keys, *statistic.residual, *statistic.peers}
    return prod(plan.type_of(leaf).size for leaf in leaves)


@dataclass(frozen=True)
class _Sorting:
    """Sorts what a stage reads into scalars and tables."""

    model: Model
    nodes: tuple[Node, ...]
    types: tuple[Type, ...]
    leaves: tuple[Leaves, ...]
    names: Mapping[int, str]
    statistics: tuple[Statistic, ...]

    def stage(self, roots: list[int]) -> Stage:
        """The stage that evaluates `roots`."""
        scalars, tables, below = self._split(roots)
        used = self._statistics_under(scalars, tables)
        marginals = {self.statistics[k].variables for k in used}
        return Stage(
            tuple(Named(name=self._name(below, n), node=n) for n in scalars),
            tuple(tables),
            tuple(sorted(marginals)),
        )

    def _split(self, roots: Iterable[int]) -> tuple[list[int], list[int], dict[int, int]]:
        """Lets, sums and look-ups that depend on the law alone, and tables read otherwise."""
        scalars: set[int] = set()
        tables: set[int] = set()
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            i = stack.pop()
            if i in seen or not self.leaves[i].law:
                continue
            seen.add(i)
            alone = not self.leaves[i].own and not self.leaves[i].depths and not self._array(i)
            if alone and (i in self.names or self.nodes[i].op in ("table", *REDUCTIONS)):
                scalars.add(i)
                continue
            if self.nodes[i].op == "table":
                attr = self.nodes[i].attr
                assert isinstance(attr, int)
                tables.add(attr)
            stack += self.nodes[i].args
        order = {n: k for k, n in enumerate(sorted(scalars), 1)}
        return sorted(scalars), sorted(tables), order

    def _statistics_under(self, scalars: list[int], tables: list[int]) -> set[int]:
        """Every statistic that has to be made, inner ones included."""
        used: set[int] = set()
        wanted = list(tables) + self._tables_in(scalars)
        while wanted:
            k = wanted.pop()
            if k not in used:
                used.add(k)
                made = (self.statistics[k].value, self.statistics[k].tally)
                wanted += self._tables_in([node for node in made if node is not None])
        return used

    def _tables_in(self, roots: list[int]) -> list[int]:
        found = []
        for i in reachable(self.nodes, roots):
            attr = self.nodes[i].attr
            if self.nodes[i].op == "table" and isinstance(attr, int):
                found.append(attr)
        return found

    def _array(self, node: int) -> bool:
        return self.nodes[node].op == "vector"

    def _name(self, order: Mapping[int, int], node: int) -> str:
        """A let, a mass at given values such as `mu_h_I`, or else a number."""
        if node in self.names:
            return self.names[node]
        here = self.nodes[node]
        numbers = [self.nodes[i].attr for i in here.args if self.nodes[i].op == "const"]
        if here.op != "table" or len(numbers) < len(here.args):
            return f"mean_{order[node]}"
        assert isinstance(here.attr, int)
        statistic = self.statistics[here.attr]
        if statistic.tally is not None:
            return f"mean_{order[node]}"
        if statistic.value is not None:
            read = self.nodes[statistic.value]
            inner = self.nodes[read.args[0]] if read.op == "real" else read
            if isinstance(inner.attr, tuple) and not here.args:
                return f"mean_{inner.attr[1]}"
            return f"mean_{order[node]}"
        words = [self._value(k, v) for k, v in zip(statistic.keys, numbers, strict=True)]
        handle = self.model.population.handle or "law"
        return "_".join([handle, *statistic.variables, *words])

    def _value(self, leaf: int, value: object) -> str:
        """A value of a member's variable as part of a name."""
        name = self.types[self.nodes[leaf].type].name
        enum = next((e for e in self.model.enums if e.name == name), None)
        if enum and isinstance(value, int):
            return enum.values[value]
        return str(value).replace("-", "minus_")


def _reads(model: Model) -> Reads:
    """Dependencies by the leaves of the model itself, bodies of means included."""
    leaves = free_leaves(model.nodes)

    def reads(roots: Iterable[int]) -> frozenset[str]:
        found = set()
        for root in roots:
            found |= {"time"} if leaves[root].time else set()
            found |= {"law"} if leaves[root].law else set()
            found |= {"params"} if leaves[root].parameters else set()
        return frozenset(found)

    population = model.population
    return Reads(
        successors=reads(given(s.next) for s in population.states),
        weights=reads(given(n.density) for n in population.noises),
        rewards=reads(
            [t.node for t in population.rewards if not t.final]
            + ([given(n.density) for n in population.noises] if rewards_read_noise(model) else [])
        ),
        legal=reads([] if population.legal is None else [population.legal]),
    )


def rewards_read_noise(model: Model) -> bool:
    """Whether some reward at a decision depends on the noise."""
    leaves = free_leaves(model.nodes)
    terms = (term for term in model.population.rewards if not term.final)
    return any(leaves[term.node].names("noise") for term in terms)
