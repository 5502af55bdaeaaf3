"""Laws at t = 0 on finite axes: continuous draws become many equally likely points."""

from collections.abc import Mapping

from mfdsl.compiler.ir.model import Model, Node, Player, StateVariable
from mfdsl.compiler.ir.reduced import Coordinate
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.ir.walk import given, reachable
from mfdsl.compiler.tabular.coins import Coin, thrown
from mfdsl.compiler.tabular.copying import Copier, Leaf
from mfdsl.compiler.tabular.frames import Frame, NoTables, Piece, entries, owner, shaped
from mfdsl.compiler.tabular.grids import Grid
from mfdsl.compiler.tabular.hidden import Hidden
from mfdsl.compiler.tabular.points import Points, names_of, positions
from mfdsl.compiler.tabular.quadrature import midpoints

# Points of each draw, by the number of draws that one value mixes.
COUNTS = {0: 1, 1: 720, 2: 60, 3: 12}
START = "start"


class Starts:
    """The laws at t = 0 of one copy of a model; `leaf` gives what states stand for."""

    def __init__(self, model: Model, points: Points, hidden: Hidden, leaf: Leaf) -> None:
        self.model, self.points, self.hidden, self._state = model, points, hidden, leaf
        self.builder = points.builder
        self._begun: set[int] = set()
        self._count = 1
        self.exact = True

    def densities(
        self, player: Player, variable: StateVariable, axes: tuple[Coordinate, ...], own: list[int]
    ) -> list[int]:
        """The probability of its own value at t = 0, for each axis with its own leaf.

        Raises:
            NoTables: it mixes too many draws, or shares one with another variable.
        """
        root = given(variable.initial if variable.start is None else variable.start)
        heads = thrown(self.model, player, root)
        draws, hidden = self._draws(player, root, heads)
        if draws + hidden not in COUNTS:
            raise NoTables(f"the law of `{variable.name}` at t = 0 mixes {draws + hidden} draws")
        self._count = COUNTS[draws + hidden]
        self.exact &= not draws
        pieces = entries(self._copied(player, root, heads))
        found = []
        for axis, leaf, piece in zip(axes, own, pieces, strict=True):
            value = piece if variable.start is None else self._match(axis, piece, leaf)
            found.append(self._summed(value, variable.name))
        return found

    def _match(self, axis: Coordinate, value: int, leaf: int) -> int:
        """The share of a starting value that falls on the point `leaf`."""
        if axis.step is not None:
            return Grid(self.builder, axis).share(value, leaf)
        same = self.builder.add("eq", [leaf, value], None, BOOL)
        return self.builder.add("real", [self.builder.add("ind", [same], None, INT)])

    def _summed(self, value: int, name: str) -> int:
        leaves = self.points.under([value], START)
        if not self._begun.isdisjoint(leaves):
            raise NoTables(f"`{name}` and another variable share a draw at t = 0")
        self._begun |= set(leaves)
        return self.points.summed(value, leaves)

    def _copied(self, player: Player, root: int, heads: Mapping[str, Coin]) -> Piece:
        """A value at t = 0, draws below a bound as bools."""
        frame = Frame(player.name)
        plain = Copier(self.model, self.builder, self._leaf)
        instead = {}
        for name, coin in heads.items():
            dims = self.model.types[self.model.nodes[coin.node].type].dims
            keys = [(player.name, entry) for entry in names_of(name, dims)]
            leaves = [self.points.index(START, key, BOOL) for key in keys]
            for leaf, chance in zip(leaves, coin.chances(plain, leaves, frame), strict=True):
                self.points.weigh(leaf, START, chance)
            instead[coin.node] = shaped(leaves, dims)
        copier = Copier(self.model, self.builder, self._leaf, None, {player.name: instead})
        return copier.copy(root, frame)

    def _draws(self, player: Player, root: int, heads: Mapping[str, Coin]) -> tuple[int, int]:
        """How many draws on points, and hidden traits, a value at t = 0 may mix."""
        nodes = [self.model.nodes[i] for i in reachable(self.model.nodes, [root])]
        names = [n.attr[-1] if isinstance(n.attr, tuple) else n.attr for n in nodes]
        read = [(n.op, str(name)) for n, name in zip(nodes, names, strict=True)]
        draws = sum(op.endswith("draw") and name not in heads for op, name in read)
        return draws, sum(op == "trait" and (player.name, name) in self.hidden for op, name in read)

    def _leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        player, name = owner(self.model, frame, node.op, node.attr)
        sort = node.op.split("_")[-1]
        if sort == "trait" and (player.name, name) in self.hidden:
            return self.hidden.at(self.hidden.trait(player, name), player, START)
        if sort != "draw":
            return self._state(node, kind, frame)
        draw = next(d for d in player.draws if d.name == name)
        if draw.density is not None:
            return self.hidden.row(draw, player, START)
        assert draw.law is not None
        values = midpoints(draw.law, self._count).tolist()
        flat = []
        for entry in names_of(name, kind.dims):
            leaf = self.points.index(START, (player.name, entry), positions(self._count))
            self.points.weigh(leaf, START, self.builder.const(1 / self._count, REAL))
            flat.append(self.points.entry(values, leaf))
        return shaped(flat, kind.dims)
