"""Uniform noises that only decide whether they lie below a bound: bools with that probability."""

from dataclasses import dataclass

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player
from mfdsl.compiler.ir.types import BOOL
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, Piece, entries, shaped
from mfdsl.compiler.tabular.points import drawn, names_of


@dataclass(frozen=True)
class Coins:
    """The bools of a model: `node` by (player, noise), and what stands for each node."""

    node: dict[tuple[str, str], int]
    instead: dict[int, Piece]

    def noises(
        self, model: Model, player: Player, noise: NoiseVariable, copier: Copier
    ) -> list[NoiseVariable]:
        """The bools that stand for a noise, with the bound as their probability."""
        builder = copier.builder
        index = self.node[player.name, noise.name]
        bound = copier.copy(model.nodes[index].args[1], Frame(player.name))
        leaves = entries(self.instead[index])
        bounds = entries(bound) if not isinstance(bound, int) else [bound] * len(leaves)
        names = names_of(noise.name, model.types[noise.type].dims)
        found = []
        for name, leaf, chance in zip(names, leaves, bounds, strict=True):
            kept = copier.op("min", copier.op("max", chance, builder.const(0)), builder.const(1))
            other = copier.op("add", builder.const(1), copier.op("neg", kept))
            found.append(drawn(builder, name, leaf, copier.op("if", leaf, kept, other)))
        return found


def coins(model: Model, builder: Builder) -> Coins:
    """The uniform noises of a model that stand on the left of one `<` and nowhere else."""
    node: dict[tuple[str, str], int] = {}
    instead: dict[int, Piece] = {}
    for player in model.players:
        for noise in player.noises:
            index = _bounded(model, player, noise)
            if index is None:
                continue
            dims = model.types[noise.type].dims
            flat = [_leaf(builder, player, name) for name in names_of(noise.name, dims)]
            node[player.name, noise.name] = index
            instead[index] = shaped(flat, dims)
    return Coins(node, instead)


def _bounded(model: Model, player: Player, noise: NoiseVariable) -> int | None:
    """The node `noise < bound`, when nothing else reads the noise."""
    if noise.law != ("uniform",):
        return None
    common = player.kind != "population"
    others = [p for p in model.populations if p is not player]
    if not common and any(n.name == noise.name for p in others for n in p.noises):
        return None  # one leaf may then stand for two noises
    op, attr = ("common_noise", (player.name, noise.name)) if common else ("noise", noise.name)
    leaves = {i for i, n in enumerate(model.nodes) if n.op == op and n.attr == attr}
    users = [i for i, n in enumerate(model.nodes) if not leaves.isdisjoint(n.args)]
    if len(users) != 1:
        return None
    user = model.nodes[users[0]]
    below = user.op == "lt" and user.args[0] in leaves and user.args[1] not in leaves
    same = model.types[user.type].dims == model.types[noise.type].dims
    return users[0] if below and same else None


def _leaf(builder: Builder, player: Player, name: str) -> int:
    if player.kind == "population":
        return builder.add("noise", (), name, BOOL)
    return builder.add("common_noise", (), (player.name, name), BOOL)
