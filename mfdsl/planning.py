"""Tables or a generator: what tables would take, beside what the machine has. Imports no torch."""

from dataclasses import dataclass, replace
from math import prod

from mfdsl.compiler.ir.model import Model, Variable
from mfdsl.compiler.tabular.choices import ranks
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.errors import UsageError
from mfdsl.runtime.memory import machine_memory

NUMBER = 8  # bytes
LONG = 10**15  # of numbers from here on only the magnitude is told
QUARTER = 0.25  # part of the memory that policy and values may take; solvers hold more tables
GENERATED = "gd_mfrl"
_LEARNS = f"; or `--solver {GENERATED}`, which learns without tables"
ALONG = "structural_pg"  # who goes along drawn paths of a common noise that no table has


@dataclass(frozen=True)
class Wanted:
    """What tables of a game would hold: states, and bytes of policy and values [T, S, A]."""

    states: int
    bytes: int

    @property
    def held(self) -> int:
        """The states with as many actions of which this machine holds policy and values."""
        return machine_memory() * self.states // self.bytes


def wanted_tables(model: Model, bins: Bins) -> Wanted | None:
    """What tables of a game with one population would hold.

    Where only few actions are legal in any state, A is the most of them.

    None where there are several players, or a continuous variable that nobody put on a grid.
    """
    if len(model.players) > 1:
        return None
    player = model.players[0]
    few = ranks(model)
    actions = player.actions if few is None else ()
    states = [_size(model, variable, bins) for variable in (*player.states, *player.traits)]
    each = [few or 1, *(_size(model, variable, bins) for variable in actions)]
    if None in (*states, *each):
        return None
    count = prod(size for size in states if size is not None)
    entries = count * prod(size for size in each if size is not None) * (model.horizon.steps or 1)
    return Wanted(count, 2 * NUMBER * entries)


def generated(model: Model, bins: Bins) -> str | None:
    """Why a generator takes the place of tables, None where tables fit."""
    wanted = wanted_tables(model, bins) if _drawable(model) else None
    if wanted is None or wanted.bytes < QUARTER * machine_memory():
        return None
    size = f"{_text(wanted.bytes)} of {_text(machine_memory())}"
    return f"tables of {_count_text(wanted.states)} states would take {size}"


def _drawable(model: Model) -> bool:
    """Whether a generator draws the law of a game with one population over a finite horizon: states
    are finite, or real without angles, and members can have weights.
    """
    player = model.players[0]
    kinds = [model.types[v.type] for v in (*player.states, *player.traits)]
    alike = len({kind.finite for kind in kinds}) == 1
    lines = all(kind.finite or not kind.periodic for kind in kinds)
    weighted = not any(node.op == "w2" for node in model.nodes)
    return model.horizon.kind == "finite" and alike and lines and weighted


def drawn_states(model: Model) -> str | None:
    """The common states of whose paths some can be drawn, in words: `economy.log_z`; else None."""
    if model.objective != "nash" or not any(p.kind == "environment" for p in model.players):
        return None
    # Loads numpy, which most games do not need here.
    from mfdsl.compiler.tabular.along import along_path
    from mfdsl.compiler.tabular.frames import NoTables

    try:
        found = along_path(model).parameters.values()
    except NoTables:
        return None
    return " and ".join(f"{player}.{name}" for player, name in found)


def only_paths(model: Model, bins: Bins) -> str | None:
    """Why drawn paths take the place of tables: a common state of theirs is continuous, and nobody
    put it on a grid. None where that is not so.
    """
    common = [v for p in model.players if p.kind == "environment" for v in p.states]
    free = [v.name for v in common if not model.types[v.type].finite and not bins.of(v.name)]
    states = drawn_states(model) if free else None
    if states is None:
        return None
    return f"`{free[0]}` is continuous: along drawn paths of {states}"


def check_tables(model: Model, bins: Bins) -> None:
    """Refuse tables that cannot be held, before anything is compiled.

    Raises:
        UsageError: policy and values alone take more than the memory of the machine.
    """
    wanted = wanted_tables(model, bins)
    if wanted is None or wanted.bytes <= machine_memory():
        return
    raise UsageError(
        f"`{model.name}` has {_count_text(wanted.states)} states on tables, which take "
        f"{_text(wanted.bytes)}; this machine has {_text(machine_memory())}, enough for "
        f"{_count_text(wanted.held)} states with as many actions",
        _smaller(model, bins) + (_LEARNS if _drawable(model) else ""),
    )


def _smaller(model: Model, bins: Bins) -> str:
    """What makes tables of a game fit: the most points of its grids that do, if it has any."""
    if bins == Bins():
        return "make the ranges of its variables smaller"
    if bins.every is None:
        most = max(bins.named, key=lambda name: bins.named[name])
        return f"fewer points for `{most}`, which has the most: `--opt bins.{most}=21`"
    low, high = 1, bins.every  # `low` points fit or none do, `high` do not
    while high - low > 1:
        middle = (low + high) // 2
        found = wanted_tables(model, replace(bins, every=middle))
        fits = found is not None and found.bytes < QUARTER * machine_memory()
        low, high = (middle, high) if fits else (low, middle)
    return f"`--opt bins={low}` fits" if low > 1 else "no grid of two points each fits"


def _count_text(count: int) -> str:
    return f"{count:,}" if count < LONG else f"some 10^{len(str(count)) - 1}"


def _size(model: Model, variable: Variable, bins: Bins) -> int | None:
    kind = model.types[variable.type]
    each = kind.size if kind.finite else bins.of(variable.name)
    return None if each is None else each ** prod(kind.dims)


def _text(count: int) -> str:
    if count >= 2**50:
        return f"{_count_text(count // 2**40)} TiB"
    return f"{count / 2**30:,.1f} GiB"
