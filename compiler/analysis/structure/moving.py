"""Expressions in which all members of a population, and what is common, have been moved alike.

A map of variables moves a member to its image and a law to the law of the images. So own leaves are
replaced by their images, those of members in means over the population by theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, leaves_of
from mfdsl.compiler.analysis.opened import is_opened
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Player, Variable
from mfdsl.compiler.ir.walk import MEMBERS, depth_of, reachable

OWN = ("state", "trait", "action")
MAX_VALUES = 200_000
# By the kind of a variable: what its image may read, of the same player. A next state goes to the
# image of the next state, of which no action is known yet, and a trait stays what it is.
READ = {"trait": ("trait",), "state": ("state", "trait"), "action": OWN}


@dataclass(frozen=True)
class Motion:
    """Images of own variables of a player by name, and of variables of others as "player.name"."""

    copies: Copies
    player: Player
    images: Mapping[str, int]
    memo: dict[tuple[int, str, tuple[tuple[int, str], ...]], int] = field(default_factory=dict)

    def moved(self, root: int, owner: str, scope: tuple[tuple[int, str], ...] = ()) -> int:
        """The expression `root` of the player `owner` after the motion."""
        key = (root, owner, scope)
        if key not in self.memo:
            self.memo[key] = self._moved(root, owner, scope)
        return self.memo[key]

    def _moved(self, root: int, owner: str, scope: tuple[tuple[int, str], ...]) -> int:
        node = self.copies.nodes[root]
        if node.op in OWN:
            mine = owner == self.player.name and str(node.attr) in self.images
            return self.images[str(node.attr)] if mine else root
        if node.op.startswith("peer_") and isinstance(node.attr, tuple):
            depth, name = int(node.attr[0]), str(node.attr[1])
            mine = dict(scope).get(depth) == self.player.name and name in self.images
            return self._of_member(self.images[name], depth) if mine else root
        if node.op.startswith("common_") and isinstance(node.attr, tuple):
            name = ".".join(map(str, node.attr))
            if node.attr[0] == self.player.name and str(node.attr[1]) in self.images:
                name = str(node.attr[1])
            return self.images.get(name, root) if node.op != "common_noise" else root
        if node.op in MEMBERS:
            assert isinstance(node.attr, tuple)
            rest = tuple(s for s in scope if s[0] != depth_of(node))
            scope = (*rest, (depth_of(node), str(node.attr[1])))
        args = tuple(self.moved(a, owner, scope) for a in node.args)
        if args == node.args:
            return root
        return self.copies.add(node.op, args, node.attr, node.type)

    def _of_member(self, image: int, depth: int) -> int:
        """An image of own variables as one of the member that a binder binds."""
        node = self.copies.nodes[image]
        if node.op in OWN:
            return self.copies.add(f"peer_{node.op}", (), (depth, str(node.attr)), node.type)
        args = tuple(self._of_member(a, depth) for a in node.args)
        if args == node.args:
            return image
        return self.copies.add(node.op, args, node.attr, node.type)


def draws_differently(
    model: Model, copies: Copies, moving: Motion, owner: Player, roots: Sequence[int]
) -> bool:
    """Whether expressions of a player read a noise, its own, a member's or a common one, of which
    the chances are moved, or those of a noise that its chances read.
    """
    open_ = [(root, owner.name) for root in roots]
    seen = set(open_)
    while open_:
        root, name = open_.pop()
        for drawer in drawers(model, copies, root, name):
            for noise in (*drawer.noises, *drawer.draws):
                if noise.density is None or (noise.density, drawer.name) in seen:
                    continue
                if moving.moved(noise.density, drawer.name) != noise.density:
                    return True
                seen.add((noise.density, drawer.name))
                open_.append((noise.density, drawer.name))
    return False


def drawers(model: Model, copies: Copies, root: int, owner: str) -> list[Player]:
    """The players whose noises an expression of a player may read."""
    names: set[str] = set()
    below = [copies.nodes[i] for i in reachable(copies.nodes, [root])]
    for node in below:
        if node.op in ("noise", "draw"):
            names.add(owner)
        elif node.op in ("common_noise", "common_draw") and isinstance(node.attr, tuple):
            names.add(str(node.attr[0]))
    if any(node.op in ("peer_noise", "peer_draw") for node in below):
        names |= {str(n.attr[1]) for n in below if n.op in MEMBERS and isinstance(n.attr, tuple)}
    return [p for p in model.players if p.name in names]


def motion(model: Model, copies: Copies, player: Player, images: Mapping[str, int]) -> Motion:
    """The motion of a player's variables; values on a ring wrap.

    Raises:
        ValueError: there is no variable of a name, it is not the player's to move, its image reads
            what moves apart from it, or two values have one image.
    """
    known = {v.name: v.type for v in (*player.states, *player.traits, *player.actions)}
    kinds = {v.name: kind for kind, group in _groups(player) for v in group}
    for other in model.players:
        if other.kind != "population":
            known |= {f"{other.name}.{v.name}": v.type for v in (*other.states, *other.actions)}
            kinds |= {f"{other.name}.{v.name}": k for k, group in _groups(other) for v in group}
    found = {}
    for name, image in images.items():
        if name not in known:
            raise ValueError(f"{player.name} has no variable `{name}`")
        _check_reads(copies, name.rpartition(".")[0] or player.name, name, image, kinds[name])
        type_ = copies.types[known[name]]
        whole = type_.periodic and type_.lo is not None and type_.hi is not None
        found[name] = wrapped(copies, image, known[name]) if whole else image
    _check_permutes(copies, player, found, known)
    return Motion(copies, player, found)


def _groups(player: Player) -> Iterable[tuple[str, Sequence[Variable]]]:
    return (("state", player.states), ("trait", player.traits), ("action", player.actions))


def _check_reads(copies: Copies, owner: str, name: str, image: int, kind: str) -> None:
    """Raise unless an image reads own variables alone that are known wherever it is taken; that of
    an action may read time and common states, which are known when one acts.
    """
    for node in (copies.nodes[i] for i in reachable(copies.nodes, [image])):
        if is_opened(node):
            continue
        read = node.op.removeprefix("common_")
        if read in OWN:
            others = isinstance(node.attr, tuple) and node.attr[0] != owner
            fine = (kind, read) == ("action", "state") if others else read in READ[kind]
        elif read == "time":
            fine = kind == "action"
        else:
            fine = read not in ("noise", "draw") and node.op not in MEMBERS
        if not fine:
            may = ", ".join(f"{k}s" for k in READ[kind])
            raise ValueError(f"the image of the {kind} `{name}` may read own {may}, no more")


def _check_permutes(
    copies: Copies, player: Player, images: Mapping[str, int], known: Mapping[str, int]
) -> None:
    """Raise unless finite variables keep their values, each joint value taken once.

    Variables that images read and that are not moved themselves stay what they are, and one that
    is moved and that no image reads leaves several values with one image.
    """
    finite = {n: i for n, i in images.items() if copies.types[known[n]].finite}
    leaves = leaves_of(copies.nodes, list(finite.values()))
    sizes = [copies.types[copies.nodes[leaf].type] for leaf in leaves]
    if any(not t.finite or t.dims for t in sizes) or prod(t.size for t in sizes) > MAX_VALUES:
        raise ValueError("a finite variable has an image over its own finite variables")
    evaluator = Evaluator(copies.facts, {leaf: axis for axis, leaf in enumerate(leaves)})
    columns = []
    for name, image in finite.items():
        type_, value = copies.types[known[name]], evaluator.value(image)
        if type_.dims or np.any(value.lo != value.hi):
            raise ValueError(f"the image of `{name}` is not one value")
        if value.lo.min() < type_.first or value.lo.max() >= type_.first + type_.size:
            raise ValueError(f"the image of `{name}` leaves its values")
        columns.append(np.broadcast_to(value.lo, [t.size for t in sizes]).reshape(-1))
    read = {_variable_of(copies, player, leaf): leaf for leaf in leaves}
    for leaf in (leaf for name, leaf in read.items() if name not in finite):
        value = evaluator.value(leaf)
        columns.append(np.broadcast_to(value.lo, [t.size for t in sizes]).reshape(-1))
    if any(copies.types[known[n]].size > 1 for n in finite if n not in read) or (
        columns and len(np.unique(np.stack(columns, 1), axis=0)) < prod(t.size for t in sizes)
    ):
        raise ValueError("two joint values have one image")


def _variable_of(copies: Copies, player: Player, leaf: int) -> str:
    """The name of a leaf's variable as images are named."""
    attr = copies.nodes[leaf].attr
    if not isinstance(attr, tuple):
        return str(attr)
    owner, name = map(str, attr)
    return name if owner == player.name else f"{owner}.{name}"


def wrapped(copies: Copies, image: int, kind: int) -> int:
    """A value on a ring put back between its ends."""
    type_ = copies.types[kind]
    first, last = type_.lo or 0, type_.hi or 0
    size = last - first + (1 if type_.kind != "real" else 0)
    at = copies.nodes[image].type
    shifted = copies.add("add", (image, copies.add("const", (), -first, at)), None, at)
    rest = copies.add("rem", (shifted, copies.add("const", (), size, at)), None, at)
    return copies.add("add", (rest, copies.add("const", (), first, at)), None, at)
