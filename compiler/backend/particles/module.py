"""What all functions of one module of agents share: names, and what the module must define."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mfdsl.compiler.backend.names import (
    field_names,
    identifier,
    local_names,
    reserved_fields,
    unique,
)
from mfdsl.compiler.backend.particles.rewrite import Rewriter
from mfdsl.compiler.backend.particles.roots import stored
from mfdsl.compiler.backend.torch_grid import GridText
from mfdsl.compiler.ir.model import Model, NoiseVariable, Place, Player, Variable

LineOf = Callable[[Place], int | None]


@dataclass
class Module:
    """Fields of the named tuples by name, and the helpers, arrays and functions in use.

    `variables` maps (letter, player, name) to a field of s, a, z or of the draws at t = 0 (i).
    `blocks` holds the functions of pairs, `sizes` the text of a tensor [B, N] of each population.
    """

    model: Model
    rewriter: Rewriter
    line_of: LineOf
    players: dict[str, str]
    classes: dict[tuple[str, str], str]
    variables: dict[tuple[str, str, str], str]
    parameters: dict[str, str]
    grids: dict[str, GridText]
    helpers: set[str] = field(default_factory=set)
    arrays: list[int] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=local_names)

    def field_of(self, letter: str, player: str, name: str) -> str:
        """The text of a field: `s.drone.pos`."""
        shown = "z" if letter == "i" else letter
        return f"{shown}.{self.players[player]}.{self.variables[letter, player, name]}"

    def comment(self, node: int) -> str:
        """` # :line` of a node, when it is known."""
        place = self.rewriter.arena.places.get(node)
        line = self.line_of(place) if place else None
        return f"  # :{line}" if line else ""


def make_module(model: Model, line_of: LineOf) -> Module:
    """Names of everything, in the order of the spec."""
    players = field_names(p.name for p in model.players)
    taken = local_names() | {"Rewards", "PLAYERS", "AGENTS", "INITIALS", "NAMES", "CUTS", "VIEW"}
    classes: dict[tuple[str, str], str] = {}
    variables: dict[tuple[str, str, str], str] = {}
    for player in model.players:
        word = "".join(part.capitalize() for part in players[player.name].split("_"))
        for letter, suffix in (("s", ""), ("a", "Action"), ("z", "Noise"), ("i", "Initial")):
            classes[letter, player.name] = unique(f"{word}{suffix}", taken)
            used = reserved_fields()
            for name in names_of(player, letter):
                variables[letter, player.name, name] = unique(name.split(":")[-1], used)
    parameters = field_names(p.name for p in model.parameters if not p.structural)
    grids = {g.name: GridText(g, identifier(g.name)) for g in model.grids}
    return Module(
        model, Rewriter(model), line_of, players, classes, variables, parameters, grids, taken=taken
    )


def drawn_at_start(player: Player) -> list[tuple[str, Variable, NoiseVariable | None]]:
    """What is drawn at t = 0: (name with its sort, variable, standard draw or None for a uniform).

    A population without draws has a uniform `agents`, which says how many there are.
    """
    found: list[tuple[str, Variable, NoiseVariable | None]] = []
    for kind, group in (("trait", player.traits), ("state", player.states)):
        found += [(f"{kind}:{v.name}", v, None) for v in group if v.initial is not None]
    for draw in player.draws:
        if draw.given is None:
            found.append((f"draw:{draw.name}", draw, draw if draw.density is None else None))
    if not found and player.kind == "population":
        agents = Variable(name="agents", type=0, doc="")
        found.append(("draw:agents", agents, None))
    return found


def names_of(player: Player, letter: str) -> list[str]:
    """The names behind the fields of one named tuple of a player."""
    if letter == "i":
        return [name for name, _, _ in drawn_at_start(player)]
    groups: dict[str, Sequence[Variable]] = {
        "s": stored(player),
        "a": player.actions,
        "z": player.noises,
    }
    return [v.name for v in groups[letter]]
