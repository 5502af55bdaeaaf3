"""Emitted functions of the population: marginals of the law and the statistics made from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mfdsl.compiler.backend.names import field_names, identifier, unique
from mfdsl.compiler.backend.plan import Plan, Stage
from mfdsl.compiler.backend.torch_axes import axis_order, position
from mfdsl.compiler.backend.torch_scope import Scope, Shared
from mfdsl.compiler.backend.torch_text import UNARY, Text, lift, signature, words

LETTERS = "ijklmnopqrstuvwxyzacdefgh"


@dataclass(frozen=True)
class FieldNames:
    """Names of the fields of `Field`: by node of a scalar, and `table k` by statistic."""

    names: Mapping[int | str, str]
    shapes: Mapping[str, str]


def marginal_name(plan: Plan, variables: Sequence[str]) -> str:
    """The local name of a marginal of the law."""
    handle = identifier(plan.model.population.handle or "law")
    return "_".join([handle, *(identifier(v) for v in variables)])


def name_fields(plan: Plan, stage: Stage) -> FieldNames:
    """Names and shapes of what members read of the population."""
    wanted: dict[int | str, str] = {s.node: s.name for s in stage.scalars}
    wanted |= {f"table {k}": _table_name(plan, k) for k in stage.tables}
    fields = field_names(())
    taken = set(fields)
    names = {key: unique(name, taken) for key, name in wanted.items()}
    shapes = {names[s.node]: "[B]" for s in stage.scalars}
    for k in stage.tables:
        statistic = plan.statistics[k]
        sizes = [plan.type_of(leaf).size for leaf in statistic.axes]
        shapes[names[f"table {k}"]] = f"[{', '.join(['B', *map(str, sizes)])}]"
    return FieldNames(names, shapes)


def _table_name(plan: Plan, number: int) -> str:
    statistic = plan.statistics[number]
    if statistic.value is None and statistic.tally is None:
        return marginal_name(plan, statistic.variables)
    for node, name in sorted(plan.names.items()):
        if plan.nodes[node].op == "table" and plan.nodes[node].attr == number:
            return name
    return f"table_{number + 1}"


class FieldScope:
    """The statements of `_field`: statistics in the order in which they are needed."""

    def __init__(self, shared: Shared, stage: Stage) -> None:
        self.shared = shared
        self.stage = stage
        plan = shared.plan
        roots = [s.node for s in stage.scalars]
        roots += [s.value for s in plan.statistics if s.value is not None]
        roots += [leaf for s in plan.statistics for leaf in (*s.axes, *s.peers)]
        self.scope = Scope(shared, "1", {}, self._table, axis_order(plan, roots))
        names = {v: marginal_name(plan, v) for v in stage.marginals}
        self.marginals = {v: unique(name, self.scope.taken) for v, name in names.items()}
        self.tables: dict[int, str] = {}

    def results(self) -> list[str]:
        """Texts of all fields, scalars first."""
        texts = self.scope.emit([s.node for s in self.stage.scalars])
        found = [t.code if t.batch else f"p.unit * ({t.code})" for t in texts]
        return found + [self._table(k) for k in self.stage.tables]

    def _table(self, number: int) -> str:
        """The local variable of a statistic; its statements come first."""
        if number not in self.tables:
            self.tables[number] = self._made(number)
        return self.tables[number]

    def _made(self, number: int) -> str:
        plan = self.shared.plan
        statistic = plan.statistics[number]
        mass = self.marginals[statistic.variables]
        if statistic.tally is not None:
            return self._tallied(number, mass)
        if statistic.value is None:
            return mass
        (text,) = self.scope.emit([statistic.value])
        by_name = {}
        for leaf in (*statistic.keys, *statistic.peers):
            attr = plan.nodes[leaf].attr
            assert isinstance(attr, tuple)
            by_name[str(attr[1])] = leaf
        axes = list(dict.fromkeys([*text.axes, *by_name.values()]))
        letter = {leaf: LETTERS[k] for k, leaf in enumerate(axes)}
        first = "".join(["b" if text.batch else "", *(letter[i] for i in text.axes)])
        second = "b" + "".join(letter[by_name[v]] for v in statistic.variables)
        out = "b" + "".join(letter[i] for i in (*statistic.keys, *statistic.residual))
        code = f'torch.einsum("{first},{second}->{out}", {text.code}, {mass})'
        return self.scope.assign(_table_name(plan, number), Text(code)).code

    def _tallied(self, number: int, mass: str) -> str:
        """Masses added up by the value of a function of the members."""
        plan = self.shared.plan
        statistic = plan.statistics[number]
        assert statistic.tally is not None
        self.shared.helpers.add("_tally")
        axes = [leaf for leaf in self.scope.axes if leaf in statistic.peers]
        letters = {_variable(plan, leaf): LETTERS[k] for k, leaf in enumerate(axes)}
        given = "".join(letters[v] for v in statistic.variables)
        wanted = "".join(letters[_variable(plan, leaf)] for leaf in axes)
        if given != wanted:
            mass = f'torch.einsum("b{given}->b{wanted}", {mass})'
        if statistic.value is not None:
            (weight,) = self.scope.emit([statistic.value])
            mass = f"{mass} * {lift(weight, axes).at(UNARY)}"
        (text,) = self.scope.emit([statistic.tally])
        kind = plan.type_of(statistic.tally)
        place = position(plan, statistic.tally, lift(text, axes), kind.first, None)
        code = f"_tally({place.code}, {mass}, {kind.size})"
        return self.scope.assign(_table_name(plan, number), Text(code)).code


def _variable(plan: Plan, leaf: int) -> str:
    attr = plan.nodes[leaf].attr
    assert isinstance(attr, tuple)
    return str(attr[1])


def field_functions(
    shared: Shared, stage: Stage, *, final: bool
) -> tuple[list[str], frozenset[str]]:
    """`_field`, `field` and `field_of_agents` (or `_final_field`), and whether p and t are read."""
    made = FieldScope(shared, stage)
    results = made.results()
    body = made.scope.lines
    kind = "FinalField" if final else "Field"
    returned = f"return {kind}({', '.join(results)})"
    reads = frozenset({"p", "t"} & words([*body, returned]))
    marginals = list(made.marginals.values())
    arguments = [f"{i}: {k}" for i, k in (("p", "Params"), ("t", "Tensor")) if i in reads]
    arguments += [f"{name}: Tensor" for name in marginals]
    name = "_final_field" if final else "_field"
    lines = ['"""Statistics from marginals of the law."""']
    lines += ["p = _wide_params(p, 1)"] if "p" in reads else []
    lines += ["t = _column(t, 1)"] if "t" in reads else []
    text = "\n    ".join([signature(name, arguments, kind), *lines, *body, returned]) + "\n"
    return [text], reads


def marginal_of_law(plan: Plan, variables: Sequence[str], *, final: bool) -> str:
    """The text of a marginal of the law m."""
    population = plan.model.population
    names = [s.name for s in population.states]
    names += [] if final else [a.name for a in population.actions]
    summed = [str(k) for k, name in enumerate(names, 1) if name not in variables]
    if not summed:
        return "m"
    return f"m.sum(({', '.join(summed)}{',' if len(summed) == 1 else ''}))"


def marginal_of_agents(shared: Shared, variables: Sequence[str]) -> str:
    """The text of a marginal of the empirical law of agents s, a."""
    population = shared.plan.model.population
    shared.helpers.add("_share")
    sizes, positions = [], []
    for letter, group in (("s", population.states), ("a", population.actions)):
        for variable in group:
            if variable.name in variables:
                type = shared.plan.model.types[variable.type]
                sizes.append(str(type.size))
                positions.append(offset(f"{letter}.{shared.variables[variable.name]}", type.first))
    shape = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    return f"_share(p.unit, {shape}, {', '.join(positions)})"


def offset(code: str, first: int) -> str:
    """The position on its axis of a value."""
    if not first:
        return code
    return f"{code} - {first}" if first > 0 else f"{code} + {-first}"
