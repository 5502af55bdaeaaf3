"""Parameters that a search may move smoothly: which they are, and how far they may go."""

import math
from collections.abc import Collection, Sequence

from mfdsl.errors import UsageError, unknown
from mfdsl.game import Game
from mfdsl.swept import check_followers


def check_smooth(
    game: Game, names: Sequence[str], flag: str, *, others: Collection[str] = (), arrays: bool
) -> None:
    """Refuse what is no real number, or array of such, fixes sizes, or moves the common state.

    `others` are names that are no parameters and may be given, too; `flag` is where names come
    from.

    Raises:
        UsageError: names the parameter and says why it cannot move.
    """
    if not names:
        raise UsageError("no parameter is named", f"name parameters: `{flag} beta,gamma`")
    parameters = {p.name: p for p in game.model.parameters}
    fixed = game.reduced.fixed if game.reduced else frozenset()
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"`{name}` is there twice after `{flag}`", "name it once")
        if name not in parameters:
            if name in others:
                continue
            raise unknown("parameter", name, [*parameters, *others])
        if parameters[name].structural:
            raise UsageError(
                f"`{name}` fixes sizes, bounds, the horizon or the discount, and keeps its value",
                f"take other parameters, once for each value with `--set {name}=...`",
            )
        kind = game.model.types[parameters[name].type]
        if kind.kind != "real" or (kind.dims and not arrays):
            raise UsageError(f"`{name}` is no real number", "only real parameters have slopes")
        if name in fixed:
            raise UsageError(
                f"`{name}` moves the common state, whose pasts are worked out beforehand",
                "take other parameters",
            )
    check_followers(game, names)


def is_parameter(game: Game, name: str) -> bool:
    """Whether the game has a parameter of this name."""
    return any(parameter.name == name for parameter in game.model.parameters)


def range_of(game: Game, name: str) -> tuple[float, float]:
    """The ends of the range of a real parameter, or of the entries of an array."""
    (parameter,) = (p for p in game.model.parameters if p.name == name)
    kind = game.model.types[parameter.type]
    low = -math.inf if kind.lo is None else float(kind.lo)
    return low, math.inf if kind.hi is None else float(kind.hi)
