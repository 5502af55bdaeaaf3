"""Parameters that a search may move smoothly: which they are, and how far they may go."""

import math
from collections.abc import Collection, Sequence

from mfdsl.entries import arrays_of, places_of, swept_parameter
from mfdsl.errors import UsageError, unknown
from mfdsl.game import Game
from mfdsl.swept import check_followers


def check_smooth(
    game: Game, names: Sequence[str], flag: str, *, others: Collection[str] = (), arrays: bool
) -> None:
    """Refuse what is no real number, or array of such, fixes sizes, or moves the common state.

    `others` are names that are no parameters and may be given, too; `flag` is where names come
    from.

    Names may be those of single entries of arrays; `arrays` says whether whole ones may move.

    Raises:
        UsageError: names the parameter and says why it cannot move.
    """
    if not names:
        raise UsageError("no parameter is named", f"name parameters: `{flag} beta,gamma`")
    parameters = {p.name: p for p in game.model.parameters}
    entries = places_of(game.model, (n for n in names if n not in others))
    fixed = game.reduced.fixed if game.reduced else frozenset()
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"`{name}` is there twice after `{flag}`", "name it once")
        whole = entries[name][0] if name in entries else name
        if whole not in parameters:
            if name in others:
                continue
            raise unknown("parameter", name, [*parameters, *others])
        if parameters[whole].structural:
            raise UsageError(
                f"`{name}` fixes sizes, bounds, the horizon or the discount, and keeps its value",
                f"take other parameters, once for each value with `--set {name}=...`",
            )
        kind = game.model.types[parameters[whole].type]
        if kind.kind != "real":
            raise UsageError(f"`{name}` is no real number", "only real parameters have slopes")
        if kind.dims and not arrays and name not in entries:
            first = f"{name}[{', '.join('0' for _ in kind.dims)}]"
            raise UsageError(f"`{name}` is an array", f'name its entries: `{flag} "{first},..."`')
        if whole in fixed:
            raise UsageError(
                f"`{name}` moves the common state, whose pasts are worked out beforehand",
                "take other parameters",
            )
    check_followers(game, arrays_of(names))


def is_parameter(game: Game, name: str) -> bool:
    """Whether the game has a parameter of this name, or an array with this entry."""
    (whole,) = arrays_of([name])
    return any(parameter.name == whole for parameter in game.model.parameters)


def range_of(game: Game, name: str) -> tuple[float, float]:
    """The ends of the range of a real parameter, or of the entries of an array."""
    parameter, _ = swept_parameter(game.model, name)
    kind = game.model.types[parameter.type]
    low = -math.inf if kind.lo is None else float(kind.lo)
    return low, math.inf if kind.hi is None else float(kind.hi)
