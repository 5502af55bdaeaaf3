"""Copies expressions of the model into the arena: leaves become inputs, small vectors components.

Vectors of up to four entries are taken apart, because single components along the agents are
faster than pairs side by side, and because moments are made of components.
"""

from collections.abc import Sequence

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.backend.particles.context import Context, Moment
from mfdsl.compiler.backend.particles.draws import drawn
from mfdsl.compiler.backend.particles.means import Choice, Expectation
from mfdsl.compiler.backend.particles.signs import extreme, positive_parameters, signed
from mfdsl.compiler.ir.model import Model, Node, NoiseVariable, Player, StateVariable, Variable
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Kind, Type
from mfdsl.compiler.ir.walk import REDUCTIONS

SMALL = 4
MEANS = ("mean", "mean_if", "mean_others", "mean_others_if")
EXTREMES = ("min_members", "max_members", "min_others", "max_others")
FOLDS = {
    "sum_over": "add",
    "prod_over": "mul",
    "min_over": "min",
    "max_over": "max",
    "any_over": "or",
    "all_over": "and",
}

Value = int | tuple[int, ...]


def small(type: Type) -> bool:
    """Whether a value of the type is taken apart into components."""
    return len(type.dims) == 1 and type.dims[0] <= SMALL


class Rewriter:
    """Copies nodes of one model; `choices` says how each mean is computed."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.arena = Arena()
        self.players = {player.name: player for player in model.players}
        self.choices: list[Choice] = []
        self.above_zero = positive_parameters(model)
        self._known: dict[Context, dict[int, Value]] = {}
        self._variables: dict[tuple[Moment, str, str, str], Value] = {}
        self._lets = {
            player.name: {named.node: named.name for named in player.lets}
            for player in model.players
        }

    def whole(self, root: int, context: Context) -> int:
        """The node of an expression; components of a small vector are stacked."""
        return self.stacked(self.value(root, context))

    def stacked(self, value: Value) -> int:
        """One node for a value: the vector of its components."""
        if isinstance(value, int):
            return value
        first = self.arena.node(value[0])
        if first.op == "element":
            array = first.args[0]
            same = [self._entry(array, k) for k in range(len(value))]
            if tuple(same) == value and self.arena.type_of(array).dims == (len(value),):
                return array
        kind = self.arena.type_of(value[0]).kind
        return self.arena.add("vector", value, None, Type(kind=kind, dims=(len(value),)))

    def value(self, root: int, context: Context) -> Value:
        """The node of an expression, or those of its components."""
        known = self._known.setdefault(context, {})
        names = {} if context.peers else self._lets[context.player]
        for old in self._needed(root, known):
            before = len(self.arena.builder.nodes)
            made = self._copied(old, context, known)
            known[old] = made
            self._label(old, made, before, names.get(old))
        return known[root]

    def _label(self, old: int, made: Value, before: int, name: str | None) -> None:
        """Names and places of the nodes that stand for a node of the model."""
        place = self.model.places[old]
        parts = (made,) if isinstance(made, int) else made
        for k, part in enumerate(parts):
            if name is not None:
                self.arena.names.setdefault(part, name if isinstance(made, int) else f"{name}_{k}")
            if place is not None and part >= before:
                self.arena.places.setdefault(part, place)

    def _needed(self, root: int, known: dict[int, Value]) -> list[int]:
        """Nodes to copy before `root`, arguments first; bodies of binders see to themselves."""
        if root in known:
            return []
        seen, stack = {root}, [root]
        while stack:
            node = self.model.nodes[stack.pop()]
            if node.op in (*MEANS, *EXTREMES, "w2", *REDUCTIONS, "array_over"):
                continue
            for i in node.args:
                if i not in seen and i not in known:
                    seen.add(i)
                    stack.append(i)
        return sorted(seen)

    def _copied(self, old: int, context: Context, known: dict[int, Value]) -> Value:
        node, type = self.model.nodes[old], self.model.node_type(old)
        if node.op in MEANS or node.op in EXTREMES or node.op == "w2":
            return self._over_population(old, node, context)
        if node.op in REDUCTIONS or node.op == "array_over":
            return self._over_index(node, type, context)
        args = [known[i] for i in node.args]
        if not args:
            return self._leaf(node, type, context)
        if node.op == "vector":
            if small(type):
                return tuple(self.stacked(a) for a in args)
            return self.arena.add("vector", [self.stacked(a) for a in args], None, _plain(type))
        if node.op == "element":
            return self._element(args[0], [self.stacked(a) for a in args[1:]])
        if node.op in ("dot", "norm"):
            return self._product_of_vectors(node.op, args)
        return self._elementwise(node, type, args)

    def _elementwise(self, node: Node, type: Type, args: Sequence[Value]) -> Value:
        length = next((len(a) for a in args if isinstance(a, tuple)), None)
        if length is None:
            whole = [self.stacked(a) for a in args]
            if node.op in ("min", "max"):
                return extreme(self.arena, node.op, whole, _plain(type), self.above_zero)
            x = signed(self.arena, whole[0]) if node.op == "real" else None
            if x is not None:
                return self.arena.add("sign", (x,), None, _plain(type))
            return self.arena.add(node.op, whole, node.attr, _plain(type))
        return tuple(
            self.arena.add(
                node.op,
                [a if isinstance(a, int) else a[k] for a in args],
                node.attr,
                type.scalar,
            )
            for k in range(length)
        )

    def _product_of_vectors(self, op: str, args: Sequence[Value]) -> Value:
        add = self.arena.add
        if not all(isinstance(a, tuple) for a in args):
            return add(op, [self.stacked(a) for a in args])
        if op == "norm":
            (vector,) = args
            assert isinstance(vector, tuple)
            return add("abs" if len(vector) == 1 else "length", vector)
        u, v = args
        assert isinstance(u, tuple) and isinstance(v, tuple)
        return add("add", [add("mul", pair) for pair in zip(u, v, strict=True)])

    def _leaf(self, node: Node, type: Type, context: Context) -> Value:
        attr = node.attr
        bound = context.binding(node.op, attr)
        if bound is not None:
            return bound
        if node.op == "const":
            assert isinstance(attr, (int, float))
            return self.arena.const(attr, type)
        if node.op == "array":
            assert isinstance(attr, int)
            array = self.model.arrays[attr]
            if small(type):
                kind = Type(kind=type.kind)
                return tuple(self.arena.const(v, kind) for v in array.values)
            return self.arena.builder.array(array.dims, array.values, kind=type.kind)
        if node.op.startswith("common_"):
            assert isinstance(attr, tuple)
            return self.variable(context.moment, str(attr[0]), node.op[7:], str(attr[1]))
        if node.op.startswith("peer_"):
            assert isinstance(attr, tuple)
            depth, name = int(attr[0]), str(attr[1])
            population = context.population(depth)
            value = self.variable(context.moment, population, node.op[5:], name)
            if isinstance(value, int):
                return self._seen(value, depth)
            return tuple(self._seen(part, depth) for part in value)
        if node.op == "weight":
            assert isinstance(attr, tuple)
            tables = self.players[str(attr[1])].weights
            matrix = next(w.array for w in tables if w.name == attr[2])
            return self.arena.add("weight", (), (attr[0], attr[1], self._array(matrix)), type)
        if node.op in ("state", "trait", "action", "noise", "draw"):
            return self.variable(context.moment, context.player, node.op, str(attr))
        return self._parts(self.arena.add(node.op, (), attr, type))

    def _array(self, position: int, kind: Kind = "real") -> int:
        """The place in the arena of a constant array of the model."""
        array = self.model.arrays[position]
        place = self.arena.node(self.arena.builder.array(array.dims, array.values, kind=kind)).attr
        assert isinstance(place, int)
        return place

    def _seen(self, value: int, depth: int) -> int:
        """A value of each member, seen as that of the member bound at `depth`."""
        return self.arena.add("peer", (value,), depth, self.arena.type_of(value))

    def _parts(self, whole: int) -> Value:
        """The components of a small vector, else the node itself."""
        type = self.arena.type_of(whole)
        if not small(type):
            return whole
        return tuple(self._entry(whole, k) for k in range(type.dims[0]))

    def _entry(self, array: int, *positions: int) -> int:
        """An entry at constant positions; that of a vector is the item itself."""
        node = self.arena.node(array)
        if node.op == "vector":
            return node.args[positions[0]]
        places = [self.arena.const(k, INT) for k in positions]
        kind = self.arena.type_of(array).scalar
        return self.arena.add("element", (array, *places), None, kind)

    def _element(self, array: Value, positions: Sequence[int]) -> Value:
        """An entry or a row; entries of small vectors are chosen among the components."""
        if isinstance(array, tuple):
            (position,) = positions
            return self._chosen(array, position)
        arena = self.arena
        node, type = arena.node(array), arena.type_of(array)
        exact = arena.builder.exact(positions[0])
        if node.op == "vector" and exact is not None:
            return self._inside(node.args[int(exact)], positions[1:])
        if node.op == "array_over":
            body, leaf = node.args
            axis = arena.type_of(leaf)
            first = arena.const(axis.first, INT)
            moved = arena.add("add", (positions[0], first), None, axis)
            return self._inside(arena.replace(body, {leaf: moved}), positions[1:])
        if node.op == "element":
            return self._element(node.args[0], [*node.args[1:], *positions])
        dims = type.dims[len(positions) :]
        kept = type.scalar.model_copy(update={"dims": dims})
        if not small(kept):
            return arena.add("element", (array, *positions), None, kept)
        places = [arena.const(k, INT) for k in range(dims[0])]
        return tuple(
            arena.add("element", (array, *positions, k), None, type.scalar) for k in places
        )

    def _chosen(self, items: Sequence[int], position: int) -> int:
        """One of a few items."""
        arena = self.arena
        exact = arena.builder.exact(position)
        if exact is not None:
            return items[int(exact)]
        chosen = items[-1]
        for k in reversed(range(len(items) - 1)):
            here = arena.add("eq", (position, arena.const(k, INT)), None, BOOL)
            chosen = arena.add("if", (here, items[k], chosen), None, arena.type_of(chosen))
        return chosen

    def _inside(self, item: int, positions: Sequence[int]) -> Value:
        """What is left to look up in an item of an array."""
        parts = self._parts(item)
        return self._element(parts, positions) if positions else parts

    def _over_index(self, node: Node, type: Type, context: Context) -> Value:
        """Reductions and comprehensions; over few values they are written out."""
        body, leaf = node.args
        axis = self.model.node_type(leaf)
        attr = self.model.nodes[leaf].attr
        if axis.size <= SMALL:
            values = [
                self.value(body, context.with_leaf("index", attr, self.arena.const(v, axis)))
                for v in range(axis.first, axis.first + axis.size)
            ]
            if node.op == "array_over":
                items = [self.stacked(v) for v in values]
                if small(type):
                    return tuple(items)
                return self.arena.add("vector", items, None, _plain(type))
            fold = node.model_copy(update={"op": FOLDS[node.op], "attr": None})
            return self._elementwise(fold, type, values)
        index = self.arena.add("index", (), attr, axis)
        value = self.value(body, context.without_leaf("index", attr))
        if node.op == "array_over":
            return self.arena.add("array_over", (self.stacked(value), index), attr, _plain(type))
        parts = (value,) if isinstance(value, int) else value
        made = [
            self.arena.add(node.op, (part, index), attr, self.arena.type_of(part)) for part in parts
        ]
        return made[0] if isinstance(value, int) else tuple(made)

    def _over_population(self, old: int, node: Node, context: Context) -> Value:
        """Means, extremes and transport over the members of a population."""
        assert isinstance(node.attr, tuple)
        depth, population = int(node.attr[0]), str(node.attr[1])
        inside = context.member_of(depth, population)
        if node.op == "w2":
            point = self.stacked(self.value(node.args[0], inside))
            target = self.whole(node.args[1], context)
            return self.arena.add("w2", (self.arena.member(point, depth), target), population)
        body = self.value(node.args[0], inside)
        condition = self.whole(node.args[1], inside) if node.op.endswith("_if") else None
        expectation = Expectation(
            self.arena, old, depth, population, context.player, "others" in node.op, self.choices
        )
        parts = (body,) if isinstance(body, int) else body
        if node.op in EXTREMES:
            made = tuple(expectation.extreme(node.op[:3], part) for part in parts)
        else:
            made = tuple(expectation.mean(part, condition) for part in parts)
        return made[0] if isinstance(body, int) else made

    def variable(self, moment: Moment, player: str, kind: str, name: str) -> Value:
        """A variable of a player at a moment: an input, or how it is drawn."""
        key = (moment, player, kind, name)
        if key not in self._variables:
            made = self._made(*key)
            self._variables[key] = made
            parts = (made,) if isinstance(made, int) else made
            for k, part in enumerate(parts):
                self.arena.names.setdefault(part, name if isinstance(made, int) else f"{name}_{k}")
        return self._variables[key]

    def _made(self, moment: Moment, player: str, kind: str, name: str) -> Value:
        owner = self.players[player]
        variable = _find(owner, kind, name)
        context = Context(moment, player)
        if isinstance(variable, NoiseVariable):
            if variable.given is not None:
                place = self._array(variable.given, "int")
                type = self.model.types[variable.type]
                return self.arena.add("given", (), (player, place), type)
            if variable.density is None:
                return self._input("z" if kind == "noise" else "i", owner, variable, kind)
            return self._drawn(owner, variable, kind, variable.density, context)
        if moment == "running" or kind == "action":
            return self._input("a" if kind == "action" else "s", owner, variable, kind)
        assert isinstance(variable, StateVariable)
        if variable.start is not None:
            return self.value(variable.start, context)
        assert variable.initial is not None
        return self._drawn(owner, variable, kind, variable.initial, context)

    def _drawn(
        self, owner: Player, variable: Variable, kind: str, density: int, context: Context
    ) -> int:
        """A finite scalar by inverse CDF."""
        letter = "z" if kind == "noise" else "i"
        uniform = self._input(letter, owner, variable, kind, REAL)
        assert isinstance(uniform, int)
        self.arena.uniforms.add(uniform)
        leaf: tuple[str, object] = (kind, variable.name)
        if owner.kind != "population":
            leaf = (f"common_{kind}", (owner.name, variable.name))

        def chance(value: int) -> int:
            return self.whole(density, context.with_leaf(*leaf, value))

        return drawn(self.arena, self.model.types[variable.type], uniform, chance)

    def _input(
        self,
        letter: str,
        owner: Player,
        variable: Variable,
        kind: str,
        type: Type | None = None,
    ) -> Value:
        """A field of s, a, z, or of the draws at t = 0 (letter i)."""
        name = f"{kind}:{variable.name}" if letter == "i" else variable.name
        attr = (letter, owner.name, name, int(owner.kind == "population"))
        whole = self.arena.add("input", (), attr, type or self.model.types[variable.type])
        if type is None:
            self.arena.names.setdefault(whole, variable.name)
        return self._parts(whole)


def _plain(type: Type) -> Type:
    """A type without domains of vectors, which say nothing about how a value is computed."""
    return type.model_copy(update={"box": None, "ball": None})


def _find(owner: Player, kind: str, name: str) -> Variable:
    groups: dict[str, tuple[Variable, ...]] = {
        "state": owner.states,
        "trait": owner.traits,
        "action": owner.actions,
        "noise": owner.noises,
        "draw": owner.draws,
    }
    return next(v for v in groups[kind] if v.name == name)
