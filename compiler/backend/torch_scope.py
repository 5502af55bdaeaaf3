"""Statements of one emitted function: nodes of the plan in order, each a text or a local name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mfdsl.compiler.backend.names import local_names, unique
from mfdsl.compiler.backend.plan import Plan
from mfdsl.compiler.backend.torch_axes import LEAVES, axis_name, position
from mfdsl.compiler.backend.torch_grid import GridText
from mfdsl.compiler.backend.torch_ops import GRID, REDUCTIONS, ROWS, scales_unit
from mfdsl.compiler.backend.torch_text import (
    ATOM,
    MUL,
    UNARY,
    Text,
    call,
    lift,
    number,
)
from mfdsl.compiler.ir.interpret import ELEMENTARY
from mfdsl.compiler.ir.model import Node, Place
from mfdsl.compiler.ir.walk import REDUCTIONS as REDUCING

LONGEST = 72

LineOf = Callable[[Place], int | None]


@dataclass
class Shared:
    """What all functions of a module share: the plan, names, and what the module must define.

    `parameters` and `variables` map names of the spec to fields of the named tuples, `fields` maps
    nodes of scalars and numbers of statistics to fields of `Field` or `FinalField`.
    """

    plan: Plan
    grids: dict[str, GridText]
    parameters: dict[str, str]
    variables: dict[str, str]
    line_of: LineOf
    helpers: set[str] = field(default_factory=set)
    arrays: list[int] = field(default_factory=list)

    def comment(self, node: int) -> str:
        """` # :line` of a node, when it is known."""
        place = self.plan.places.get(node)
        line = self.line_of(place) if place else None
        return f"  # :{line}" if line else ""


@dataclass
class Scope:
    """One function. `rank` is the text of the number of leading axes.

    `known` gives the texts of leaves and of nodes that the caller hands in; `table` the text of the
    table of a statistic, which may first add statements of its own. `axes` lists the leaves that
    become trailing axes, in their order.
    """

    shared: Shared
    rank: str
    known: dict[int, Text]
    table: Callable[[int], str]
    axes: Sequence[int] = ()
    lines: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=local_names)

    def emit(self, roots: Sequence[int]) -> list[Text]:
        """Texts of `roots`, after the statements that they need."""
        plan = self.shared.plan
        wanted = self._needed(roots)
        uses: dict[int, int] = dict.fromkeys(wanted, 0)
        for i in wanted:
            for argument in plan.nodes[i].args:
                if argument in uses:
                    uses[argument] += 1
        for i in wanted:
            text = self._text(i)
            named = i in plan.names and uses[i] > 0 and self._worth(text)
            long = uses[i] > 0 and len(text.code) > LONGEST
            if named or (uses[i] > 1 and self._worth(text)) or long:
                text = self.assign(plan.names.get(i, "part"), text, self._comment(i, named))
            self.known[i] = text
        return [self.known[i] for i in roots]

    def assign(self, name: str, text: Text, comment: str = "") -> Text:
        """A local variable that holds `text`."""
        local = unique(name, self.taken)
        self.lines.append(f"{local} = {text.code}{comment}")
        return replace(text, code=local, level=ATOM, minus=None)

    def unit(self, axes: Sequence[int] = ()) -> Text:
        """The number 1 in the dtype of the call, with the leading axes."""
        return lift(Text("p.unit"), axes)

    def _comment(self, node: int, named: bool) -> str:
        return self.shared.comment(node) if named else ""

    def _worth(self, text: Text) -> bool:
        simple = text.minus is not None and text.minus.level == ATOM and "(" not in text.code
        return (
            text.literal is None
            and not simple
            and (text.level < ATOM or "(" in text.code or "[" in text.code)
        )

    def _needed(self, roots: Sequence[int]) -> list[int]:
        """Nodes below `roots` that have no text yet, arguments first."""
        nodes = self.shared.plan.nodes
        seen = {i for i in roots if i not in self.known}
        stack = list(seen)
        while stack:
            node = nodes[stack.pop()]
            skipped = node.args[1:] if node.op in REDUCING else ()
            for i in node.args:
                if i not in seen and i not in self.known and i not in skipped:
                    seen.add(i)
                    stack.append(i)
        return sorted(seen)

    def _text(self, index: int) -> Text:
        plan = self.shared.plan
        node = plan.nodes[index]
        kind = plan.type_of(index).kind
        if node.op == "const":
            assert isinstance(node.attr, (int, float))
            return number(node.attr, kind)
        if node.op == "param":
            return Text(f"p.{self.shared.parameters[str(node.attr)]}")
        if node.op == "time":
            return Text("t")
        if node.op in LEAVES:
            return self._axis(index)
        if node.op == "array":
            return self._array(node)
        if node.op == "vector":
            return Text("", ATOM)
        if node.op in REDUCING:
            return self._reduction(node)
        if node.op == "element":
            return self._element(node)
        if node.op == "table":
            return self._table(node)
        if node.op in GRID:
            return self._grid(node, kind)
        return self._row(node, kind)

    def _row(self, node: Node, kind: str) -> Text:
        """An elementwise operator, on common axes."""
        args = [self.known[i] for i in node.args]
        if node.op == "if" and args[0].literal is not None:
            return args[1] if args[0].literal else args[2]
        values = [a.literal for a in args if a.literal is not None]
        if len(values) == len(args):
            constant = _constant(node.op, values, kind)
            if constant is not None:
                return constant
            args[0] = Text(f"{args[0].code} * p.unit", MUL)
        if node.op == "real":
            inner = self.shared.plan.nodes[node.args[0]]
            if inner.op == "ind":
                args = [self.known[inner.args[0]]]
        axes = self.union(args)
        code, level = ROWS[node.op]([lift(a, axes) for a in args], self.unit(axes))
        batch = any(a.batch for a in args) or scales_unit(node.op, args)
        minus = lift(args[0], axes) if node.op == "neg" else None
        return Text(code, level, axes, batch, None, minus)

    def union(self, texts: Iterable[Text]) -> tuple[int, ...]:
        """All trailing axes of some texts, in order."""
        have = {axis for text in texts for axis in text.axes}
        return tuple(axis for axis in self.axes if axis in have)

    def _axis(self, index: int) -> Text:
        """A bound variable: all values of its type along an axis of its own."""
        type = self.shared.plan.type_of(index)
        name = axis_name(self.shared.plan.nodes[index])
        ends = f"{type.first}, {type.first + type.size}" if type.first else f"{type.size}"
        code = f"torch.arange({ends}, device=p.unit.device)"
        values = Text(code, ATOM, (index,), False)
        if type.kind == "bool":
            values = replace(values, code=f"{code}.bool()")
        return self.assign(name, values)

    def _array(self, node: Node) -> Text:
        assert isinstance(node.attr, int)
        self.shared.helpers.add("_array")
        if node.attr not in self.shared.arrays:
            self.shared.arrays.append(node.attr)
        place = self.shared.arrays.index(node.attr)
        whole = self.shared.plan.types[node.type].kind != "real"
        dtype = "torch.int64" if whole else "p.unit.dtype"
        code = f"_array({place}, {dtype}, p.unit.device)"
        return Text(code, ATOM, (), False)

    def _reduction(self, node: Node) -> Text:
        body, leaf = node.args
        text = self.known[body]
        if leaf not in text.axes:
            return self._repeated(node.op, text, self.shared.plan.type_of(leaf).size)
        place = text.axes.index(leaf) - len(text.axes)
        axes = tuple(axis for axis in text.axes if axis != leaf)
        code = f"{text.at(ATOM)}.{REDUCTIONS[node.op]}({place})"
        return Text(code, ATOM, axes, text.batch)

    def _repeated(self, op: str, text: Text, times: int) -> Text:
        """A reduction of a body that does not vary."""
        if text.literal is not None and op in ("sum_over", "prod_over"):
            value = text.literal * times if op == "sum_over" else text.literal**times
            return number(value, "real" if isinstance(value, float) else "int")
        if op == "sum_over":
            return Text(f"{times} * {text.at(UNARY)}", MUL, text.axes, text.batch)
        if op == "prod_over":
            return Text(f"{text.at(ATOM)} ** {times}", UNARY, text.axes, text.batch)
        return text

    def _element(self, node: Node) -> Text:
        """An entry of an array: advanced indexing with positions on common axes."""
        plan = self.shared.plan
        array = plan.nodes[node.args[0]]
        if array.op == "vector":
            return self._picked(array, self.known[node.args[1]])
        sizes = plan.types[array.type].dims
        positions = [
            position(plan, i, self.known[i], 0, size)
            for i, size in zip(node.args[1:], sizes, strict=True)
        ]
        table = self.known[node.args[0]]
        if array.op == "param":
            return self._look_up(table.code, positions)
        axes = self.union(positions)
        inside = ", ".join(lift(q, axes).code for q in positions)
        return Text(f"{table.at(ATOM)}[{inside}]", ATOM, axes, any(q.batch for q in positions))

    def _picked(self, array: Node, position: Text) -> Text:
        """An element of a list of expressions."""
        if position.literal is not None:
            return self.known[array.args[min(max(int(position.literal), 0), len(array.args) - 1)]]
        self.shared.helpers.add("_pick")
        elements = [self.known[i] for i in array.args]
        axes = self.union([position, *elements])
        first = elements[0]
        if isinstance(first.literal, float):
            unit = self.unit(axes)
            elements[0] = Text(f"{first.code} * {unit.code}", MUL, axes)
        texts = [lift(text, axes).code for text in (position, *elements)]
        batch = position.batch or any(e.batch for e in elements)
        return Text(call("_pick", *texts), ATOM, axes, batch)

    def _table(self, node: Node) -> Text:
        """An entry of a statistic of the population."""
        plan = self.shared.plan
        assert isinstance(node.attr, int)
        statistic = plan.statistics[node.attr]
        code = self.table(node.attr)
        positions = []
        for argument, leaf in zip(node.args, statistic.axes, strict=True):
            type = plan.type_of(leaf)
            positions.append(position(plan, argument, self.known[argument], type.first, None))
        return self._look_up(code, positions)

    def _look_up(self, table: str, positions: Sequence[Text]) -> Text:
        """Entries of a table [B, ...] at positions; the result has the leading axes."""
        axes = self.union(positions)
        if not positions:
            return Text(table)
        lifted = [lift(position, axes).code for position in positions]
        if self.rank == "1" and not any(position.batch for position in positions):
            return Text(f"{table}[:, {', '.join(lifted)}]", ATOM, axes)
        self.shared.helpers.add("_at")
        if any(position.batch for position in positions):
            return Text(call("_at", table, *lifted), ATOM, axes)
        rank = f"{self.rank} + {len(axes)}" if axes else self.rank
        return Text(call("_at", table, *lifted, f"rank={rank}"), ATOM, axes)

    def _grid(self, node: Node, kind: str) -> Text:
        """A grid operator: a helper of the grid, on tensors."""
        name, region = node.attr if isinstance(node.attr, tuple) else (node.attr, "")
        grid = self.shared.grids[str(name)]
        args = [self.known[i] for i in node.args]
        values = [int(a.literal) for a in args if a.literal is not None]
        if len(values) == len(args):
            return number(grid.constant(node.op, values, str(region)), kind)
        axes = self.union(args)
        lifted = [lift(a, axes) for a in args]
        tensor = next(a for a in lifted if a.literal is None)
        codes = [
            a.code if a.literal is None else f"torch.full_like({tensor.code}, {a.code})"
            for a in lifted
        ]
        code = call(grid.use(node.op, str(region)), *codes)
        return Text(code, ATOM, axes, any(a.batch for a in args))


def _constant(op: str, values: Sequence[int | float], kind: str) -> Text | None:
    """An operator on numbers, or None where Python has no value for it, as in 1 / 0."""
    if op in ("and", "or"):
        return number((all if op == "and" else any)(values), kind)
    try:
        return number(ELEMENTARY[op](*values), kind)
    except (ArithmeticError, ValueError):
        return None
