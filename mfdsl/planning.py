"""Tables or a generator: what tables would take, beside what the machine has. Imports no torch."""

from math import prod

from mfdsl.compiler.ir.model import Model, Variable
from mfdsl.compiler.tabular.choices import ranks
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.errors import UsageError
from mfdsl.runtime.memory import machine_memory

NUMBER = 8  # bytes
QUARTER = 0.25  # part of the memory that policy and values may take; solvers hold more tables
GENERATED = "gd_mfrl"
ALONG = "structural_pg"  # who goes along drawn paths of a common noise that no table has


def table_bytes(model: Model, bins: Bins) -> int | None:
    """The bytes of a policy and its values on tables [T, S, A] of a game with one population.

    Where only few actions are legal in any state, A is the most of them.

    None where there are several players, or a continuous variable that nobody put on a grid.
    """
    if len(model.players) > 1:
        return None
    player = model.players[0]
    few = ranks(model)
    actions = player.actions if few is None else ()
    sizes = [few, *(_size(model, v, bins) for v in (*player.states, *player.traits, *actions))]
    if None in sizes[1:]:
        return None
    return 2 * NUMBER * prod(s for s in sizes if s is not None) * (model.horizon.steps or 1)


def generated(model: Model, bins: Bins) -> str | None:
    """Why a generator takes the place of tables, None where tables fit."""
    needed = table_bytes(model, bins)
    if needed is None or needed < QUARTER * machine_memory():
        return None
    return f"policy and values on tables would take {_text(needed)} of {_text(machine_memory())}"


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
    needed = table_bytes(model, bins)
    if needed is not None and needed > machine_memory():
        raise UsageError(
            f"not enough memory for `{model.name}`: its tables would have {_text(needed)} of policy"
            f" and values, there are {_text(machine_memory())}",
            f"`--solver {GENERATED}` stands a generator in the place of the law; or fewer `bins`",
        )


def _size(model: Model, variable: Variable, bins: Bins) -> int | None:
    kind = model.types[variable.type]
    each = kind.size if kind.finite else bins.of(variable.name)
    return None if each is None else each ** prod(kind.dims)


def _text(count: float) -> str:
    if count >= 2**50:
        return f"{count / 2**40:,.0f} TiB"
    return f"{count / 2**30:,.1f} GiB"
