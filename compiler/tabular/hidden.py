"""Traits that policies do not see, drawn anew at every step.

This is the averaged game that an approximately symmetric game induces (Yardim and He 2025,
arXiv:2408.15173): whoever acts has a fresh trait, and so has every member of a mean. It is the game
itself where what is seen of a member says nothing of its trait.
"""

from collections.abc import Mapping, Sequence

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Node, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.sight import hidden_from, shows_stages
from mfdsl.compiler.ir.types import BOOL, INT, Type
from mfdsl.compiler.ir.walk import given, reachable
from mfdsl.compiler.tabular.coins import Coin, thrown
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, NoTables, Piece, shaped
from mfdsl.compiler.tabular.points import Points, drawn, names_of, positions
from mfdsl.compiler.tabular.quadrature import gauss

GAUSS_POINTS = 8


class Hidden:
    """What stands for hidden traits in one copy of a model; `names` by player."""

    def __init__(self, model: Model, points: Points) -> None:
        self.model, self.points = model, points
        self.builder: Builder = points.builder
        self.names = {p.name: hidden_traits(model, p) for p in model.players}
        known = not any(_shows(model, p, self.names[p.name]) for p in model.players)
        self.exact = known and sees_stages(model)

    def __contains__(self, variable: tuple[str, str]) -> bool:
        player, name = variable
        return name in self.names[player]

    def leaf(self, node: Node, player: Player, name: str) -> Piece:
        """A noise of whoever acts, or a point of the member of a mean."""
        place = int(node.attr[0]) if isinstance(node.attr, tuple) else None
        return self.at(self.trait(player, name), player, place)

    def trait(self, player: Player, name: str) -> StateVariable:
        """The trait of that name."""
        return next(t for t in player.traits if t.name == name)

    def at(self, trait: StateVariable, player: Player, place: object | None) -> Piece:
        """The trait from the points of a place, or from noises where there is none."""
        if trait.initial is None:
            return self._from_draws(trait, player, place)
        kind = self.model.types[trait.type]
        if place is None:
            return self.builder.add("noise", (), trait.name, kind)
        leaf = self.points.index(place, (player.name, trait.name), kind)
        self.points.weigh(leaf, place, self._density(trait, player, leaf))
        return leaf

    def noises(self, player: Player) -> list[NoiseVariable]:
        """The fresh draws of one member."""
        found = []
        for trait in player.traits:
            if (player.name, trait.name) not in self:
                continue
            if trait.initial is not None:
                leaf = self.builder.add("noise", (), trait.name, self.model.types[trait.type])
                density = self._density(trait, player, leaf)
                found.append(drawn(self.builder, trait.name, leaf, density, trait.doc))
                continue
            heads = thrown(self.model, player, given(trait.start))
            for index in reachable(self.model.nodes, [given(trait.start)]):
                if self.model.nodes[index].op == "draw":
                    name = str(self.model.nodes[index].attr)
                    found += self._tossed(player, name, heads) or self._draws(player, name)
        return list({noise.name: noise for noise in found}.values())

    def mean(self, node: Node, args: Sequence[int]) -> int | None:
        """A mean over members with hidden traits, None for any other."""
        assert isinstance(node.attr, tuple)
        found = self.points.under(args, int(node.attr[0]))
        if not found:
            return None
        plain = node.op.removesuffix("_if")
        add, zero = self.builder.add, self.builder.const(0)
        value = add("if", [args[1], args[0], zero]) if len(args) > 1 else args[0]
        total = self.points.summed(add(plain, [value], node.attr), found)
        if len(args) == 1:
            return total
        mass = add("real", [add("ind", [args[1]], None, INT)])
        return add("div", [total, self.points.summed(add(plain, [mass], node.attr), found)])

    def _density(self, trait: StateVariable, player: Player, leaf: int) -> int:
        def at(node: Node, kind: Type, frame: Frame) -> Piece | None:
            if node.op != "trait" or node.attr != trait.name:
                raise NoTables(f"the law of the trait `{trait.name}` reads `{node.attr}`")
            return leaf

        copier = Copier(self.model, self.builder, at)
        return copier.scalar(given(trait.initial), Frame(player.name))

    def _from_draws(self, trait: StateVariable, player: Player, place: object | None) -> Piece:
        """A trait as a function of the points of its draws."""

        def at(node: Node, kind: Type, frame: Frame) -> Piece | None:
            if node.op != "draw":
                raise NoTables(f"the law of the trait `{trait.name}` reads `{node.attr}`")
            name = str(node.attr)
            draw = next(d for d in player.draws if d.name == name)
            if draw.density is not None:
                return self.row(draw, player, place)
            points, weights = self._rule(player, name)
            flat = []
            for entry in names_of(name, kind.dims):
                leaf = self._point(place, player, entry, positions(len(points)))
                if place is not None:
                    self.points.weigh(leaf, place, self.points.entry(weights, leaf))
                flat.append(self.points.entry(points, leaf))
            return shaped(flat, kind.dims)

        root, frame = given(trait.start), Frame(player.name)
        plain, instead = Copier(self.model, self.builder, at), {}
        for name, coin in thrown(self.model, player, root).items():
            dims = self.model.types[self.model.nodes[coin.node].type].dims
            leaves = [self._point(place, player, entry, BOOL) for entry in names_of(name, dims)]
            if place is not None:
                for leaf, chance in zip(leaves, coin.chances(plain, leaves, frame), strict=True):
                    self.points.weigh(leaf, place, chance)
            instead[coin.node] = shaped(leaves, dims)
        return Copier(self.model, self.builder, at, None, {player.name: instead}).copy(root, frame)

    def row(self, draw: NoiseVariable, player: Player, place: object | None) -> int:
        """The row of a member in the files of its population; all of its traits read the same."""
        leaf = self._point(place, player, draw.name, self.model.types[draw.type])
        if place is not None:
            self.points.weigh(leaf, place, self._mass(draw, player, leaf))
        return leaf

    def _mass(self, draw: NoiseVariable, player: Player, leaf: int) -> int:
        copier = Copier(self.model, self.builder, lambda node, kind, frame: leaf)
        return copier.scalar(given(draw.density), Frame(player.name))

    def _point(self, place: object | None, player: Player, entry: str, kind: Type) -> int:
        """The index of a draw at a place, or the noise where there is none."""
        if place is None:
            return self.builder.add("noise", (), _noise_name(entry), kind)
        return self.points.index(place, (player.name, entry), kind)

    def _rule(self, player: Player, name: str) -> tuple[list[float], list[float]]:
        draw = next(d for d in player.draws if d.name == name)
        assert draw.law is not None
        points, weights = gauss(draw.law, GAUSS_POINTS)
        self.exact = False
        return points.tolist(), weights.tolist()

    def _tossed(self, player: Player, name: str, heads: Mapping[str, Coin]) -> list[NoiseVariable]:
        """The bools that stand for a draw, none where it has points."""
        if name not in heads:
            return []
        kind = self.model.node_type(heads[name].node)
        plain = Copier(self.model, self.builder, lambda node, kind, frame: None)
        names = [_noise_name(entry) for entry in names_of(name, kind.dims)]
        leaves = [self.builder.add("noise", (), noise, BOOL) for noise in names]
        chances = heads[name].chances(plain, leaves, Frame(player.name))
        return [
            drawn(self.builder, noise, leaf, chance)
            for noise, leaf, chance in zip(names, leaves, chances, strict=True)
        ]

    def _draws(self, player: Player, name: str) -> list[NoiseVariable]:
        draw = next(d for d in player.draws if d.name == name)
        if draw.density is not None:
            leaf = self.row(draw, player, None)
            density = self._mass(draw, player, leaf)
            return [drawn(self.builder, _noise_name(name), leaf, density)]
        points, weights = self._rule(player, name)
        found = []
        for entry in names_of(name, self.model.types[draw.type].dims):
            noise = _noise_name(entry)
            leaf = self.builder.add("noise", (), noise, positions(len(points)))
            found.append(drawn(self.builder, noise, leaf, self.points.entry(weights, leaf)))
        return found


def _noise_name(entry: str) -> str:
    return f"{entry}_fresh"


def hidden_traits(model: Model, player: Player) -> frozenset[str]:
    """Traits that policies do not see.

    Raises:
        NoTables: policies see less than the states, or a function of a trait.
    """
    if not (player.observe or player.observes_law) or player.kind != "population":
        return frozenset()
    check_seen_by_members(model, player)
    shown = {(model.nodes[n.node].op, model.nodes[n.node].attr) for n in player.observe}
    hidden = {t.name for t in player.traits if ("trait", t.name) not in shown}
    inside = reachable(model.nodes, [named.node for named in player.observe])
    for node in (model.nodes[i] for i in inside):
        if node.op == "trait" and node.attr in hidden:
            raise NoTables(
                f"policies of `{player.name}` see only a part of `{node.attr}`",
                f"add `{node.attr}` to `observe`, or leave it out altogether",
            )
    return frozenset(hidden)


def check_seen_by_members(model: Model, player: Player) -> None:
    """Refuse policies of a population that do not see their own states, as those of tables do.

    Raises:
        NoTables: a state is not seen.
    """
    for op, name in hidden_from(model, player):
        if op == "state":
            raise NoTables(
                f"policies of `{player.name}` do not see `{name}`", f"add `{name}` to `observe`"
            )


def sees_stages(model: Model) -> bool:
    """Whether all policies see the stage where best responses may depend on it: tables show it."""
    acting = [p for p in model.players if p.actions]
    return all(shows_stages(model, p) for p in acting)


def _shows(model: Model, player: Player, hidden: frozenset[str]) -> bool:
    """Whether states, or traits that are seen, depend on hidden traits or are drawn with them."""
    if not hidden:
        return False
    nodes = model.nodes
    kept = [v for v in (*player.states, *player.traits) if v.name not in hidden]
    chances = {n.name: n.density for n in player.noises if n.density is not None}
    open_ = [n for v in kept for n in (v.next, v.initial, v.start) if n is not None]
    below: set[int] = set()
    while open_:
        found = set(reachable(nodes, open_)) - below
        below |= found
        noises = (str(nodes[i].attr) for i in found if nodes[i].op == "noise")
        open_ = [chances[name] for name in noises if name in chances]
    drawn = [v.start for v in player.traits if v.name in hidden and v.start is not None]
    draws = {nodes[i].attr for i in reachable(nodes, drawn) if nodes[i].op == "draw"}
    return any(
        (nodes[i].op == "trait" and nodes[i].attr in hidden)
        or (nodes[i].op == "draw" and nodes[i].attr in draws)
        for i in below
    )
