"""Uniform noises that only decide on which side of a bound they lie: bools with those odds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Node, NoiseVariable, Player
from mfdsl.compiler.ir.types import BOOL
from mfdsl.compiler.ir.walk import free_leaves, reachable
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, Piece, entries, shaped
from mfdsl.compiler.tabular.points import drawn, names_of
from mfdsl.compiler.tabular.rebuild import player_roots


@dataclass(frozen=True)
class Coin:
    """The comparison `node` of a uniform number with the node `bound`: `below` it, or above."""

    node: int
    bound: int
    below: bool

    def chances(self, copier: Copier, leaves: Sequence[int], frame: Frame) -> list[int]:
        """The probability of the value of each of the bools `leaves` that stand for it."""
        builder, bound = copier.builder, copier.copy(self.bound, frame)
        bounds = [bound] * len(leaves) if isinstance(bound, int) else entries(bound)
        found = []
        for leaf, chance in zip(leaves, bounds, strict=True):
            low = copier.op("min", copier.op("max", chance, builder.const(0)), builder.const(1))
            high = copier.op("add", builder.const(1), copier.op("neg", low))
            found.append(copier.op("if", leaf, *((low, high) if self.below else (high, low))))
        return found


@dataclass(frozen=True)
class Coins:
    """The coins of a model by (player, noise), and by player what stands for their nodes."""

    coin: Mapping[tuple[str, str], Coin]
    instead: Mapping[str, Mapping[int, Piece]]

    def noises(
        self, model: Model, player: Player, noise: NoiseVariable, copier: Copier
    ) -> list[NoiseVariable]:
        """The bools that stand for a noise, with the bound as their probability."""
        coin = self.coin[player.name, noise.name]
        leaves = entries(self.instead[player.name][coin.node])
        names = names_of(noise.name, model.types[noise.type].dims)
        chances = coin.chances(copier, leaves, Frame(player.name))
        return [
            drawn(copier.builder, name, leaf, chance)
            for name, leaf, chance in zip(names, leaves, chances, strict=True)
        ]


def coins(model: Model, builder: Builder) -> Coins:
    """The uniform noises of a model that stand on one side of one comparison and nowhere else."""
    found: dict[tuple[str, str], Coin] = {}
    instead: dict[str, dict[int, Piece]] = {p.name: {} for p in model.players}
    for player in model.players:
        common = player.kind != "population"
        for noise in player.noises:
            readers = model.players if common else [player]
            attr = (player.name, noise.name) if common else noise.name
            op = "common_noise" if common else "noise"
            coin = _bounded(model, noise, (op, attr), _roots(readers), common=common)
            if coin is None or any(coin.node in instead[p.name] for p in readers):
                continue  # of two noises that are compared, one alone is a coin
            dims = model.types[noise.type].dims
            flat = [_leaf(builder, player, name) for name in names_of(noise.name, dims)]
            found[player.name, noise.name] = coin
            for reader in readers:
                instead[reader.name][coin.node] = shaped(flat, dims)
    return Coins(found, instead)


def thrown(model: Model, player: Player, root: int) -> dict[str, Coin]:
    """The same for the draws of a value at t = 0, by their names."""
    common = player.kind != "population"
    op = "common_draw" if common else "draw"
    found: dict[str, Coin] = {}
    for draw in player.draws:
        leaf = (op, (player.name, draw.name) if common else draw.name)
        coin = _bounded(model, draw, leaf, [root], common=False)
        if coin is not None and all(coin.node != other.node for other in found.values()):
            found[draw.name] = coin
    return found


def _bounded(
    model: Model,
    noise: NoiseVariable,
    leaf: tuple[str, object],
    roots: Sequence[int],
    *,
    common: bool,
) -> Coin | None:
    """The comparison of a leaf with a bound, when nothing else under the roots reads the leaf and
    the bound can be told where the noise is drawn.
    """
    if noise.law != ("uniform",):
        return None
    under = {i: model.nodes[i] for i in reachable(model.nodes, roots)}
    leaves = {i for i, n in under.items() if (n.op, n.attr) == leaf}
    clipped = {i for i, n in under.items() if _clipped(model, n, leaves)}
    users = [i for i, n in under.items() if i not in clipped and not leaves.isdisjoint(n.args)]
    if clipped:
        if users:
            return None
        leaves |= clipped
        users = [i for i, n in under.items() if not clipped.isdisjoint(n.args)]
    if len(users) != 1 or not leaves.isdisjoint(roots):
        return None
    user = model.nodes[users[0]]
    same = model.types[user.type].dims == model.types[noise.type].dims
    if user.op not in ("lt", "le") or not same or leaves.issuperset(user.args):
        return None
    below = user.args[0] in leaves
    bound = user.args[1 if below else 0]
    return Coin(users[0], bound, below) if _told(model, bound, common) else None


def _clipped(model: Model, node: Node, leaves: set[int]) -> bool:
    """Whether a node is `min(leaf, c)` with c from 1, which is the leaf."""
    if node.op != "min" or len(node.args) != 2 or node.args[0] not in leaves:
        return False
    top = model.nodes[node.args[1]]
    return top.op == "const" and isinstance(top.attr, (int, float)) and top.attr >= 1


def _told(model: Model, bound: int, common: bool) -> bool:
    """Whether a bound reads nothing of a binder around it, and of no member if it is common."""
    under = [model.nodes[i] for i in reachable(model.nodes, [bound])]
    if common and any(n.op in ("state", "trait", "action", "noise") for n in under):
        return False
    if any(n.op in ("peer_trait", "peer_noise") for n in under):
        return False
    return not free_leaves(model.nodes[: bound + 1])[bound].depths


def _roots(players: Iterable[Player]) -> list[int]:
    return [n for p in players for n in (*player_roots(p), *(let.node for let in p.lets))]


def _leaf(builder: Builder, player: Player, name: str) -> int:
    if player.kind == "population":
        return builder.add("noise", (), name, BOOL)
    return builder.add("common_noise", (), (player.name, name), BOOL)
