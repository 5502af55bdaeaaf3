"""Statements of one emitted function: nodes of the arena in order, each a text or a local name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mfdsl.compiler.backend.names import local_names, unique
from mfdsl.compiler.backend.particles.arena import OTHERS, OVER_MEMBERS
from mfdsl.compiler.backend.particles.axes import (
    OWN,
    entry_axes,
    index_axis,
    ordered,
    peer_axis,
    place,
    renamed,
    union,
    widened,
)
from mfdsl.compiler.backend.particles.elements import element
from mfdsl.compiler.backend.particles.module import Module
from mfdsl.compiler.backend.particles.rows import row_of
from mfdsl.compiler.backend.particles.stacks import array_over, vector
from mfdsl.compiler.backend.particles.twins import twins
from mfdsl.compiler.backend.torch_axes import INDEX_NAMES
from mfdsl.compiler.backend.torch_ops import GRID, REDUCTIONS, scales_unit
from mfdsl.compiler.backend.torch_text import ATOM, MUL, UNARY, Text, call, lift, number, words
from mfdsl.compiler.ir.interpret import ELEMENTARY
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.walk import REDUCTIONS as REDUCING, reachable

LONGEST = 72
STATISTICS = (*OVER_MEMBERS, "tally", "w2")
METHODS = {"mean_of": "mean", "sum_of": "sum", "min_of": "amin", "max_of": "amax"}


@dataclass
class Scope:
    """One function. `known` gives the texts of nodes that the caller hands in, `agents` the text
    of a tensor [B, N] of each population, `pairs` the text of a sum over pairs. `together` has
    the texts of sums that were computed with others, `twins` maps nodes to others that are equal
    but for the name of their index.
    """

    module: Module
    agents: Mapping[str, str]
    pairs: Callable[["Scope", int], Text]
    frontier: Callable[[Module, int], Sequence[int]]
    known: dict[int, Text] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=local_names)
    untaken: frozenset[int] = frozenset()
    uses: dict[int, int] = field(default_factory=dict)
    twins: dict[int, int] = field(default_factory=dict)
    together: dict[int, Text] = field(default_factory=dict)
    numbered: dict[str, str] = field(default_factory=dict)
    matrices: dict[int, str] = field(default_factory=dict)

    def emit(self, roots: Sequence[int], *, lazy: bool = False) -> list[Text]:
        """Texts of `roots`, after the statements that they need: statistics first.

        With `lazy` the roots themselves stand where they may not be wanted.
        """
        arena = self.module.rewriter.arena
        self.twins |= twins(arena, reachable(arena.builder.nodes, roots))
        wanted = self._needed(roots)
        self.untaken = frozenset(wanted) - (frozenset() if lazy else self._taken(roots))
        self.uses = dict.fromkeys(wanted, 0)
        for i in wanted:
            for argument in self._arguments(i):
                if argument in self.uses:
                    self.uses[argument] += 1
        kept = {root for root in roots if roots.count(root) > 1}
        statistics = [i for i in wanted if arena.node(i).op in STATISTICS]
        first = self._needed(statistics)
        for i in [*first, *(i for i in wanted if i not in set(first))]:
            self.known[i] = self._named(i, self._text(i), i in kept)
        return [self.known[i] for i in roots]

    def assign(self, name: str, text: Text, comment: str = "") -> Text:
        """A local variable that holds `text`."""
        local = unique(name, self.taken)
        self.lines.append(f"{local} = {text.code}{comment}")
        return replace(text, code=local, level=ATOM, minus=None)

    def numbers(self, population: str) -> str:
        """A local variable with the numbers of the agents, [1, N]."""
        if population not in self.numbered:
            self.module.helpers.add("_agents")
            code = call("_agents", self.agents[population])
            self.numbered[population] = self.assign("agents", Text(code)).code
        return self.numbered[population]

    def unpacked(self, indices: Sequence[int], code: str, axes: tuple[int, ...]) -> list[Text]:
        """Local variables for nodes that one expression gives along its first axis."""
        names = [unique(self._name(i), self.taken) for i in indices]
        self.lines.append(f"{', '.join(names)} = {code}")
        return [Text(name, ATOM, axes) for name in names]

    def _named(self, index: int, text: Text, kept: bool) -> Text:
        """The text itself, or a local variable where it is read twice, has a name or is long."""
        arena = self.module.rewriter.arena
        uses = self.uses[index]
        named = index in arena.names and uses > 0
        statistic = arena.node(index).op in (*STATISTICS, *OTHERS, "pairs")
        worth = _worth(text) and (named or uses > 1 or kept)
        if worth or statistic or (uses > 0 and len(text.code) > LONGEST):
            if text.code in self.taken:
                return text
            comment = self.module.comment(index) if named or statistic else ""
            return self.assign(self._name(index), text, comment)
        return text

    def _name(self, index: int) -> str:
        """The name of a let or a variable, of the statistic of one, or a plain word."""
        arena = self.module.rewriter.arena
        if index in arena.names:
            return arena.names[index]
        node = arena.node(index)
        if node.op in STATISTICS:
            inner = [arena.names[i] for i in node.args if i in arena.names]
            word = {"tally": "count", "w2": "transport"}.get(node.op, node.op.split("_")[0])
            return "_".join([word, *inner]) if node.op != "w2" else word
        if node.op == "peer":
            return self._name(node.args[0])
        return "pairs" if node.op == "pairs" else "part"

    def _arguments(self, index: int) -> Sequence[int]:
        if index in self.twins:
            return (self.twins[index],)
        node = self.module.rewriter.arena.node(index)
        if node.op == "pairs":
            return self.frontier(self.module, index)
        return node.args[:1] if node.op in (*REDUCING, "array_over") else node.args

    def _needed(self, roots: Sequence[int]) -> list[int]:
        """Nodes below `roots` that have no text yet, arguments first."""
        seen = {i for i in roots if i not in self.known}
        stack = list(seen)
        while stack:
            for i in self._arguments(stack.pop()):
                if i not in seen and i not in self.known:
                    seen.add(i)
                    stack.append(i)
        return sorted(seen)

    def _taken(self, roots: Sequence[int]) -> frozenset[int]:
        """Nodes that are wanted whatever the conditions say."""
        arena = self.module.rewriter.arena
        seen, stack = set(roots), list(roots)
        while stack:
            index = stack.pop()
            arguments = self._arguments(index)
            if arena.node(index).op == "if" and index not in self.twins:
                arguments = arguments[:1]
            for i in arguments:
                if i not in seen:
                    seen.add(i)
                    stack.append(i)
        return frozenset(seen)

    def _text(self, index: int) -> Text:
        arena = self.module.rewriter.arena
        node, type = arena.node(index), arena.type_of(index)
        if index in self.twins:
            return self._twin(index)
        if node.op == "const":
            assert isinstance(node.attr, (int, float))
            return number(node.attr, type.kind)
        if node.op in _LEAVES:
            return self._leaf(index, node)
        if node.op == "peer":
            assert isinstance(node.attr, int)
            return renamed(self.known[node.args[0]], OWN, peer_axis(node.attr))
        if node.op in METHODS or node.op in OTHERS:
            return self._over_members(node)
        if node.op == "pairs":
            return self.pairs(self, index)
        if node.op in ("vector", "array_over"):
            return vector(self, index) if node.op == "vector" else array_over(self, index)
        if node.op in ("tally", "w2", "search", "norm", "dot"):
            return getattr(self, f"_{node.op}")(index, node)  # type: ignore[no-any-return]
        if node.op in REDUCING:
            return self._reduction(index, node)
        if node.op == "element":
            return element(self, index)
        if node.op in GRID:
            return self._grid(node, type.kind)
        return self._row(index, node, type.kind)

    def _twin(self, index: int) -> Text:
        """The text of the same expression over another index, along the axis of this one."""
        facts = self.module.rewriter.arena.facts
        twin = self.twins[index]
        ((old,), (new,)) = facts(twin).indices, facts(index).indices
        return renamed(self.known[twin], index_axis(old), index_axis(new))

    def _leaf(self, index: int, node: Node) -> Text:
        module, attr = self.module, node.attr
        type = module.rewriter.arena.type_of(index)
        entries = entry_axes(len(type.dims))
        if node.op == "input":
            assert isinstance(attr, tuple)
            code = module.field_of(str(attr[0]), str(attr[1]), str(attr[2]))
            return Text(code, ATOM, (OWN, *entries) if attr[3] else entries)
        if node.op == "param":
            return Text(f"p.{module.parameters[str(attr)]}", ATOM, entries)
        if node.op == "time":
            return Text("t")
        if node.op == "index":
            return self._index(index, node)
        if node.op == "array":
            assert isinstance(attr, int)
            return Text(self.array(attr, type.kind), ATOM, entries, False)
        if node.op in ("given", "weight_sum", "own_weight"):
            assert isinstance(attr, tuple)
            if node.op == "given":
                return Text(self.array(int(attr[1]), type.kind), ATOM, (OWN,), False)
            end = ".sum(1)" if node.op == "weight_sum" else ".diagonal()"
            return Text(f"{self.matrix(int(attr[1]))}{end}", ATOM, (OWN,), False)
        count = f"{self.agents[str(attr)]}.shape[1]"
        if node.op == "company":  # a value like others, where a count only divides tensors
            return Text(f"p.unit * min({count} - 1, 1)", MUL, (), False)
        code = count if node.op == "count" else f"max({count} - 1, 1)"
        return Text(code, ATOM, (), False)

    def _index(self, index: int, node: Node) -> Text:
        """All values of a bound index, along its axis."""
        type = self.module.rewriter.arena.type_of(index)
        assert isinstance(node.attr, int)
        ends = f"{type.first}, {type.first + type.size}" if type.first else f"{type.size}"
        code = f"torch.arange({ends}, device=p.unit.device)"
        code += ".bool()" if type.kind == "bool" else ""
        name = INDEX_NAMES[node.attr] if node.attr < len(INDEX_NAMES) else "value"
        return self.assign(name, Text(code, ATOM, (index_axis(node.attr),), False))

    def array(self, position: int, kind: str) -> str:
        """The text of a constant array of the arena."""
        self.module.helpers.add("_array")
        if position not in self.module.arrays:
            self.module.arrays.append(position)
        dtype = "p.unit.dtype" if kind == "real" else "torch.int64"
        return f"_array({self.module.arrays.index(position)}, {dtype}, p.unit.device)"

    def matrix(self, position: int) -> str:
        """A local variable with a table of weights, [N, N]."""
        if position not in self.matrices:
            self.matrices[position] = self.assign(
                "weights", Text(self.array(position, "real"))
            ).code
        return self.matrices[position]

    def _over_members(self, node: Node) -> Text:
        """A statistic: a reduction along the agents."""
        text = self.known[node.args[0]]
        if node.op == "weighted_of":
            return self._weighted(node, text)
        if node.op in OTHERS:
            helper = f"_{node.op[:3]}_of_others"
            self.module.helpers.add(helper)
            agents_first = ordered(text, (OWN, *(axis for axis in text.axes if axis != OWN)))
            made = Text(call(helper, agents_first.code), ATOM, agents_first.axes)
            return ordered(made, text.axes)
        position = 1 + text.axes.index(OWN)
        axes = tuple(axis for axis in text.axes if axis != OWN)
        return Text(f"{text.at(ATOM)}.{METHODS[node.op]}({position})", ATOM, axes)

    def _weighted(self, node: Node, text: Text) -> Text:
        """Weighted sums over the members: a product with the matrix of weights."""
        assert isinstance(node.attr, tuple)
        rest = tuple(axis for axis in text.axes if axis != OWN)
        moved = ordered(text, (*rest, OWN))
        code = f"{moved.at(UNARY)} @ {self.matrix(int(node.attr[1]))}.mT"
        return ordered(Text(code, MUL, moved.axes, text.batch), text.axes)

    def _tally(self, index: int, node: Node) -> Text:
        arena = self.module.rewriter.arena
        self.module.helpers.add("_tally")
        assert isinstance(node.attr, tuple)
        weighted = int(node.attr[1])
        keys = node.args[: len(node.args) - weighted]
        weight = widened(self.known[node.args[-1]], (OWN,)) if weighted else "p.unit"
        places = []
        for key in keys:
            type, text = arena.type_of(key), self.known[key]
            code = f"{text.at(ATOM)}.long()" if type.kind == "bool" else text.code
            if type.first:
                code = f"{text.at(MUL)} {'-' if type.first > 0 else '+'} {abs(type.first)}"
            places.append(code)
        sizes = "".join(f"{arena.type_of(key).size}, " for key in keys)
        code = call(
            "_tally", weight, f"({sizes.rstrip() if len(keys) == 1 else sizes[:-2]})", *places
        )
        return Text(code, ATOM, entry_axes(len(keys)))

    def _w2(self, index: int, node: Node) -> Text:
        entries = entry_axes(2)
        point, target = (self.known[i] for i in node.args)
        cloud = widened(target, entries)
        code = call("torch.ops.mfdsl.w2", point.code, cloud)
        return Text(code, ATOM)

    def _search(self, index: int, node: Node) -> Text:
        """A draw from a long law, by search in its running sums."""
        arena = self.module.rewriter.arena
        uniform, weights = (self.known[i] for i in node.args[:2])
        type = arena.type_of(index)
        assert isinstance(node.attr, int)
        axis = index_axis(node.attr)
        shared = weights.axes == (axis,) and OWN in uniform.axes
        helper = "_search" if shared else "_draw"
        self.module.helpers.add(helper)
        axes = (axis,) if shared else (*uniform.axes, axis)
        law = widened(ordered(weights, axes), axes)
        code = call(helper, law, uniform.code)
        if type.kind == "bool":
            return Text(f"{code}.bool()", ATOM, uniform.axes)
        if type.first:
            sign = "+" if type.first > 0 else "-"
            return Text(f"{code} {sign} {abs(type.first)}", MUL - 1, uniform.axes)
        return Text(code, ATOM, uniform.axes)

    def _norm(self, index: int, node: Node) -> Text:
        text = self.known[node.args[0]]
        self.module.helpers.add("_norm")
        return Text(call("_norm", text.code), ATOM, text.axes[:-1], text.batch)

    def _dot(self, index: int, node: Node) -> Text:
        u, v = (self.known[i] for i in node.args)
        axes = union([u, v])
        code = f"({lift(u, axes).at(MUL)} * {lift(v, axes).at(UNARY)}).sum(-1)"
        return Text(code, ATOM, axes[:-1], u.batch or v.batch)

    def _reduction(self, index: int, node: Node) -> Text:
        body, leaf = node.args
        text = self.known[body]
        assert isinstance(node.attr, int)
        axis = index_axis(node.attr)
        if node.op == "sum_over" and self._combines(body, axis):
            self.module.helpers.add("_combined")
            factors = (self.known[i].code for i in self.module.rewriter.arena.node(body).args)
            return Text(call("_combined", *factors), ATOM, (OWN,))
        if axis in text.axes:
            axes = tuple(a for a in text.axes if a != axis)
            code = f"{text.at(ATOM)}.{REDUCTIONS[node.op]}({place(text, axis)})"
            return Text(code, ATOM, axes, text.batch)
        times = self.module.rewriter.arena.type_of(leaf).size
        if text.literal is not None and node.op in ("sum_over", "prod_over"):
            value = text.literal * times if node.op == "sum_over" else text.literal**times
            return number(value, "real" if isinstance(value, float) else "int")
        if node.op == "sum_over":
            return Text(f"{times} * {text.at(UNARY)}", MUL, text.axes, text.batch)
        if node.op == "prod_over":
            return Text(f"{text.at(ATOM)} ** {times}", UNARY, text.axes, text.batch)
        return text

    def _combines(self, body: int, axis: int) -> bool:
        """Whether a sum is over products of what agents share, [B, K], and theirs, [B, K, N]."""
        node = self.module.rewriter.arena.node(body)
        written = body not in self.twins and self.uses.get(body, 0) <= 1
        if node.op != "mul" or len(node.args) != 2 or not written:
            return False
        share, own = (self.known[i] for i in node.args)
        return (share.axes, own.axes) == ((axis,), (axis, OWN)) and share.batch and own.batch

    def _row(self, index: int, node: Node, kind: str) -> Text:
        """An elementwise operator, on common axes."""
        args = [self.known[i] for i in node.args]
        if node.op == "if" and args[0].literal is not None:
            return args[1] if args[0].literal else args[2]
        values = [a.literal for a in args if a.literal is not None]
        if len(values) == len(args):
            constant = _constant(node.op, values, kind)
            if constant is not None:
                return constant
            args[0] = Text(f"{args[0].code} * p.unit", MUL, (), False)
        arena = self.module.rewriter.arena
        if node.op == "real":
            inner = arena.node(node.args[0])
            if inner.op == "ind":
                args = [self.known[inner.args[0]]]
        wrapped = self._wrapped(node, args) if node.op == "rem" else None
        if wrapped is not None:
            return wrapped
        axes = union(args)
        unit = Text("p.unit", ATOM, (), False)
        lifted = [replace(lift(a, axes), minus=a.minus and lift(a.minus, axes)) for a in args]
        code, level, helper = row_of(node.op, lifted, unit, index in self.untaken)
        if helper:
            self.module.helpers.add(helper)
        batch = any(a.batch for a in args)
        if scales_unit(node.op, args):
            batch = args[0].batch
        minus = lifted[0] if node.op == "neg" else None
        return Text(code, level, axes, batch, None, minus)

    def _wrapped(self, node: Node, args: Sequence[Text]) -> Text | None:
        """A remainder by comparison, where the value leaves its ring by less than a turn."""
        arena = self.module.rewriter.arena
        value, size = args
        low, high = arena.bounds(node.args[0])
        n = size.literal
        if n is None or arena.type_of(node.args[0]).kind == "real":
            return None
        if not (n > 0 and -n <= low and high < 2 * n):
            return None
        self.module.helpers.add("_wrap")
        return Text(call("_wrap", value.code, size.code), ATOM, value.axes, value.batch)

    def _grid(self, node: Node, kind: str) -> Text:
        """A grid operator: a helper of the grid, on tensors."""
        name, region = node.attr if isinstance(node.attr, tuple) else (node.attr, "")
        grid = self.module.grids[str(name)]
        args = [self.known[i] for i in node.args]
        values = [int(a.literal) for a in args if a.literal is not None]
        if len(values) == len(args):
            return number(grid.constant(node.op, values, str(region)), kind)
        axes = union(args)
        lifted = [lift(a, axes) for a in args]
        tensor = next(a for a in lifted if a.literal is None)
        codes = [
            a.code if a.literal is None else f"torch.full_like({tensor.code}, {a.code})"
            for a in lifted
        ]
        code = call(grid.use(node.op, str(region)), *codes)
        return Text(code, ATOM, axes, any(a.batch for a in args))


def used_lines(lines: Sequence[str]) -> list[str]:
    """Statements without assignments that nothing reads."""
    kept: list[str] = []
    for line in reversed(lines):
        target, mark, _ = line.partition(" = ")
        if mark and target.isidentifier() and target not in words(kept):
            continue
        kept.insert(0, line)
    return kept


_LEAVES = (
    "input", "given", "param", "time", "index", "array", "count", "others_count", "company",
    "weight_sum", "own_weight",
)  # fmt: skip


def _worth(text: Text) -> bool:
    """Whether reading a text twice costs more than a name."""
    simple = text.minus is not None and text.minus.level == ATOM and "(" not in text.code
    return (
        text.literal is None
        and not simple
        and (text.level < ATOM or "(" in text.code or "[" in text.code)
        and not text.code.startswith(("max(", "min("))
        and not text.code.endswith(".shape[1]")
    )


def _constant(op: str, values: Sequence[int | float], kind: str) -> Text | None:
    """An operator on numbers, or None where Python has no value for it, as in 1 / 0."""
    if op in ("and", "or"):
        return number((all if op == "and" else any)(values), kind)
    if op not in ELEMENTARY:
        return None
    try:
        return number(ELEMENTARY[op](*values), kind)
    except (ArithmeticError, ValueError):
        return None
