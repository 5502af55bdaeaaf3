"""Which solver runs and with which options: the spec's `solver` block under the command line.

The block holds defaults; a flag wins. Options of another method than the one that runs are left
out. Nothing here imports torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import Any

from pydantic import ValidationError

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.diagnostics import Diagnostic, Help, Label
from mfdsl.compiler.driver import Compilation
from mfdsl.compiler.ir.model import Model, Scalar
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.source import Span
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.errors import UsageError, did_you_mean, unknown
from mfdsl.licence import chosen, licences, promise_text
from mfdsl.planning import ALONG, GENERATED, generated, only_paths
from mfdsl.runtime.learning.table import LEARNERS, LearnerRow
from mfdsl.runtime.solvers.riccati.table import EXACT, RICCATI, ExactRow
from mfdsl.runtime.solvers.table import SOLVERS, Config, Row, choose
from mfdsl.structural import alone, case_of

METHODS: Mapping[str, Row | LearnerRow | ExactRow] = {**SOLVERS, **LEARNERS, **EXACT}
ITERATIONS = 1000
MOST_PROMISED = 100_000
TOLERANCE = 1e-6

TEAMS = "mf_ppo"  # who solves a team unless somebody says otherwise
PLANNER = "social_gradient"  # where a team is one population with finite variables
# Solvers whose theorems hold from every policy. Those of mirror_prox and pmd measure how far an
# equilibrium is from the uniform one.
FROM_ANYWHERE = frozenset(
    ("fixed_point", "policy_iteration", "soft_fixed_point", "frank_wolfe", PLANNER)
)
LOOP_KEYS = ("method", "iterations", "tolerance", "bins")
GRID_KEYS = ("bins", "low", "high")
FEWEST_BINS = 2


@dataclass(frozen=True)
class Settings:
    """A resolved request: the solver, its validated options and when to stop.

    `reason` says why this solver was taken; `open` that nobody named one, so that certificates may
    choose, `limited` that somebody said how many iterations. `bins` puts continuous variables on
    grids.
    """

    solver: str
    config: Config
    iterations: int
    tolerance: float
    reason: str
    bins: Bins = field(default_factory=Bins)
    open: bool = False
    limited: bool = True


def resolve(
    model: Model,
    solver: str | None = None,
    *,
    iterations: int | None = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of a run: arguments first, then the spec's block, then defaults.

    Without a solver the spec's `method` counts; "auto" leaves the choice to the certificates
    even where the spec names one, and its options with it.

    Raises:
        UsageError: an unknown solver or option, or a value out of range.
    """
    block = dict(model.solver)
    wanted = dict(options or {})
    name, reason = _choose(model, solver, block)
    bins, free = Bins(), solver == "auto" or (solver is None and "method" not in block)
    if name in SOLVERS or (free and model.objective == "nash"):
        bins = _bins(model, block | wanted)
        wanted = {k: v for k, v in wanted.items() if k.partition(".")[0] not in GRID_KEYS}
    if free and name not in LEARNERS and not wanted and not alone(model):
        why = generated(model, bins)
        name, reason = (name, reason) if why is None else (GENERATED, why)
    if free and name in SOLVERS and (paths := only_paths(model, bins)) is not None:
        name, reason = ALONG, paths
    if free and not wanted and bins == Bins() and _is_quadratic(model):
        name, reason = RICCATI, "linear_quadratic proved: exact"
    given = {k: v for k, v in block.items() if k not in LOOP_KEYS}
    own = given if solver != "auto" and block.get("method", name) == name else {}
    named = {} if solver == "auto" else block
    learner = LEARNERS.get(name, EXACT.get(name))
    usual = ITERATIONS if learner is None else learner.iterations
    limit = named.get("iterations", usual) if iterations is None else iterations
    goal = block.get("tolerance", TOLERANCE) if tolerance is None else tolerance
    if not isinstance(limit, int) or limit < 0:
        raise UsageError(f"`iterations` is a whole number from 0, not {limit}")
    if isinstance(goal, str) or not goal >= 0:
        raise UsageError(f"`tolerance` is a number from 0, not {goal}")
    config = validated(name, own | wanted)
    unnamed = free and not own | wanted and model.objective == "nash"
    limited = iterations is not None or "iterations" in named
    return Settings(name, config, limit, float(goal), reason, bins, unnamed, limited)


def licensed(
    settings: Settings,
    model: Model,
    certificates: Sequence[Certificate],
    *,
    anywhere: bool = False,
) -> Settings:
    """The settings with a solver that is proved to work, where there is one and none was named;
    with `anywhere` it is proved to from every policy.

    It has to keep its promise within the iterations; where nobody limited them they are raised to
    what the proof asks for, up to 100,000.
    """
    if not settings.open or settings.solver not in SOLVERS:
        return settings
    entries = licences(certificates, case_of(model, settings.tolerance))
    if anywhere:
        entries = tuple(entry for entry in entries if entry.solver in FROM_ANYWHERE)
    entry = chosen(entries, settings.iterations if settings.limited else MOST_PROMISED)
    if entry is None:
        slow = next((e for e in entries if e.iterations is not None), None)
        if slow is None:
            return settings
        known = f"{slow.solver} is proved but may need {slow.iterations:.3g} iterations"
        return replace(settings, reason=f"{settings.reason} ({known})")
    count = settings.iterations if settings.limited else max(ITERATIONS, entry.iterations or 0)
    config = SOLVERS[entry.solver].config(**entry.options)
    reason = promise_text(entry, settings.tolerance)
    return replace(
        settings, solver=entry.solver, config=config, iterations=count, reason=reason, open=False
    )


def _bins(model: Model, options: Mapping[str, Any]) -> Bins:
    """The grids: `bins` points for all continuous variables, `bins.x` for one, from `low.x` to
    `high.x` where the spec gives no bounds.
    """
    continuous = _continuous(model)
    found: dict[str, dict[str, Any]] = {kind: {} for kind in GRID_KEYS}
    for key, value in options.items():
        kind, _, name = key.partition(".")
        if kind not in GRID_KEYS:
            continue
        if not continuous:
            raise UsageError(f"`{model.name}` has no continuous variable to put on a grid")
        if name not in continuous and (name or kind != "bins"):
            raise unknown("continuous variable", name, sorted(continuous))
        if kind == "bins":
            _check_bins(key, value)
        else:
            _check_end(key, value, continuous[name])
        found[kind][name] = value
    every = found["bins"].pop("", None)
    return Bins(every, *found.values())


def _continuous(model: Model) -> dict[str, Type]:
    """The types of the continuous variables by name."""
    return {
        v.name: model.types[v.type]
        for p in model.players
        for v in (*p.states, *p.traits, *p.actions)
        if not model.types[v.type].finite
    }


def bins_of_block(model: Model) -> Bins:
    """The grids that the spec's `solver` block asks for; none where all variables are finite."""
    asked = "bins" in model.solver and _continuous(model)
    return _bins(model, {"bins": model.solver["bins"]} if asked else {})


def _check_bins(key: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < FEWEST_BINS:
        raise UsageError(
            f"`{key} = {value}`: a grid has a whole number of points, {FEWEST_BINS} or more",
            f"`--opt {key}=21`",
        )


def _check_end(key: str, value: Any, kind: Type) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise UsageError(f"`{key} = {value}`: the end of a grid is a number", f"`--opt {key}=5`")
    low, high = -inf if kind.lo is None else kind.lo, inf if kind.hi is None else kind.hi
    if kind.periodic or not low <= value <= high:
        raise UsageError(f"`{key} = {value}` lies outside of the domain, or the domain is a circle")


def _is_quadratic(model: Model) -> bool:
    """Whether the exact solver of linear-quadratic games is licensed."""
    # Loads numpy, which most games do not need here.
    from mfdsl.quadratic import quadratics

    return quadratics(model).reason is None


def _choose(model: Model, solver: str | None, block: Mapping[str, Scalar]) -> tuple[str, str]:
    if solver not in (None, "auto"):
        assert solver is not None
        if solver not in METHODS:
            raise unknown("solver", solver, METHODS)
        return solver, "asked for"
    if solver is None and "method" in block:
        return str(block["method"]), "named by the spec"
    if model.objective == "team":
        if _finite(model):
            return PLANNER, "a team with small tables has an exact gradient"
        return TEAMS, "a team learns from its agents"
    if alone(model):
        return "fixed_point", "one best response solves a game without interaction"
    return choose(model.horizon.kind)


def _finite(model: Model) -> bool:
    """Whether the game of the same players, each for oneself, has tables as it is written."""
    return model.model_copy(update={"objective": "nash"}).tabular


def validated(solver: str, options: Mapping[str, Any]) -> Config:
    """The options of a solver.

    Raises:
        UsageError: an option is unknown or out of range.
    """
    row = METHODS[solver]
    for name, value in options.items():
        if name not in row.config.model_fields:
            raise _unknown_option(solver, name, value)
    try:
        return row.config.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # options that do not go together
            raise UsageError(f"options of {solver}: {_lower(first['msg'])}") from None
        name = ".".join(map(str, first["loc"]))
        description = row.config.model_fields[name].description
        raise UsageError(
            f"option `{name} = {first['input']}` of {solver}: {_lower(first['msg'])}",
            f"{name} is the {description}" if description else None,
        ) from None


def _unknown_option(solver: str, name: str, value: Any) -> UsageError:
    """The error for an option that a solver does not have: whose it is, or which was meant."""
    error = unknown(f"option of {solver}", name, METHODS[solver].config.model_fields)
    owners = _owners(name)
    if not owners:
        return error
    return UsageError(
        error.message,
        f"{' and '.join(owners)} {'has' if len(owners) == 1 else 'have'} it: "
        f"`--solver {owners[0]} --opt {name}={value}`",
    )


def _owners(option: str) -> list[str]:
    """The solvers that have an option."""
    return [name for name, row in METHODS.items() if option in row.config.model_fields]


def with_settings_checked(compilation: Compilation) -> Compilation:
    """The compilation with a placed error for each line of its `solver` block that cannot be."""
    if compilation.model is None:
        return compilation
    found = tuple(_faults(compilation.model.solver, compilation.solver_places))
    return replace(compilation, diagnostics=(*compilation.diagnostics, *found))


def _faults(block: Mapping[str, Scalar], places: Mapping[str, Span]) -> Iterator[Diagnostic]:
    method = block.get("method")
    if method is not None and method not in METHODS:
        yield _fault(f"there is no solver `{method}`", places["method"], str(method), list(METHODS))
        return
    fields = list(METHODS[str(method)].config.model_fields) if method is not None else []
    for name, value in block.items():
        if name in LOOP_KEYS:
            message = _loop_fault(name, value)
        elif name in fields:
            message = _option_fault(str(method), name, value)
        elif method is None:
            message = f"`{name}` is an option of some solver, but no `method` is named"
        else:
            message = f"`{method}` has no option `{name}`"
            yield _fault(message, places[name], name, [*LOOP_KEYS, *fields])
            continue
        if message is not None:
            yield _fault(message, places[name])


def _loop_fault(name: str, value: Scalar) -> str | None:
    if name == "method":
        return None
    whole = name != "tolerance"
    if name == "bins" and not isinstance(value, str) and value < FEWEST_BINS:
        return f"`bins` is a whole number from {FEWEST_BINS}, not {value}"
    if isinstance(value, str) or value < 0 or (whole and value != int(value)):
        return f"`{name}` is a {'whole ' if whole else ''}number from 0, not {value}"
    return None


def _option_fault(method: str, name: str, value: Scalar) -> str | None:
    try:
        validated(method, {name: value})
    except UsageError as error:
        return error.message
    return None


def _fault(message: str, span: Span, word: str = "", known: Sequence[str] = ()) -> Diagnostic:
    guess = did_you_mean(word, known)
    notes = (f"known: {', '.join(known)}",) if known else ()
    helps = (Help(guess),) if guess else ()
    return Diagnostic("MFG112", "error", message, (Label(span, "", primary=True),), notes, helps)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
