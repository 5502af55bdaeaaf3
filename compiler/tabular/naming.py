"""Names of what the reductions add, apart from those of a spec."""

from collections import Counter
from collections.abc import Collection

from mfdsl.compiler.ir.model import Model, Player, Variable
from mfdsl.compiler.tabular.frames import NoTables


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it when it is taken."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}{count}"
    return found


def names_in(model: Model) -> set[str]:
    """The names of all variables of those who act."""
    acting = (p for p in model.players if p.kind != "environment")
    return {v.name for p in acting for v in _variables(p)}


def check_names(model: Model) -> None:
    """Refuse a player that has two variables of one name, one of them made by a reduction.

    Raises:
        NoTables: there is such a player.
    """
    for player in model.players:
        counts = Counter(v.name for v in _variables(player))
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise NoTables(
                f"`{twice[0]}` would name two variables of `{player.name}`",
                f"rename `{twice[0]}`",
            )


def _variables(player: Player) -> list[Variable]:
    return [*player.states, *player.traits, *player.actions, *player.noises]
