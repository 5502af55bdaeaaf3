"""Generators, their losses and responses by their names in the options."""

from mfdsl.runtime.learning.base import Lesson, LessonError
from mfdsl.runtime.learning.generated.autoregressive import Autoregressive
from mfdsl.runtime.learning.generated.discriminators import Critic
from mfdsl.runtime.learning.generated.family import Family
from mfdsl.runtime.learning.generated.fitting import AnyGenerator, Fitting, Kind
from mfdsl.runtime.learning.generated.frozen import Arena
from mfdsl.runtime.learning.generated.generators import Flow, FlowMatching, Implicit
from mfdsl.runtime.learning.generated.mixtures import MOST_AXES, Mixture
from mfdsl.runtime.learning.generated.network_responses import Networks
from mfdsl.runtime.learning.generated.responses import Exact, Responder
from mfdsl.runtime.learning.generated.table_response import ByTables
from mfdsl.runtime.learning.sight import model_of, sights_of
from mfdsl.runtime.learning.table import GeneratedConfig

USUAL: dict[str, Kind] = {
    "implicit": "energy",
    "flow": "likelihood",
    "cfm": "velocity",
    "mdn": "likelihood",
    "autoreg": "likelihood",
}


def generator_of(config: GeneratedConfig, arena: Arena, told: int = 0) -> Fitting:
    """The generator with what it is fitted by; `told` numbers are told of each game of a family.

    Raises:
        LessonError: it does not draw such points, or cannot be fitted like that.
    """
    space, name = arena.space, config.generator
    if name == "auto":
        name = "autoreg" if space.finite else "implicit"
    if space.finite != (name == "autoreg"):
        kind, other = ("finite", "autoreg") if space.finite else ("real", "implicit")
        raise LessonError(
            f"the states of {arena.program.name} are {kind}, and `{name}` draws others",
            f"`--opt generator={other}`",
        )
    if name == "flow" and space.width == 1:
        raise LessonError(
            "couplings need two numbers or more, and points here have one",
            "`--opt generator=implicit` or `--opt generator=cfm`",
        )
    if name == "mdn" and space.width > MOST_AXES:
        raise LessonError(
            f"`mdn` is for {MOST_AXES} numbers at most, and points here have {space.width}",
            "`--opt generator=implicit` or `--opt generator=cfm`",
        )
    loss: Kind = USUAL[name] if config.loss == "auto" else config.loss
    free = name in ("implicit", "flow")
    if loss != USUAL[name] and (not free or loss in ("likelihood", "velocity")):
        raise LessonError(
            f"`{name}` is not fitted by `{loss}`", "leave `loss` out, it takes what fits"
        )
    made = _network(name, config, arena, told)
    critic = Critic(space.width, config.width, told) if loss == "wgan_gp" else None
    return Fitting(made, loss, config.fit_steps, config.fit_batch, config.fit_rate, critic)


def _network(name: str, config: GeneratedConfig, arena: Arena, told: int) -> AnyGenerator:
    axes, width, layers, steps = arena.space.width, config.width, config.layers, arena.steps
    match name:
        case "flow":
            return Flow(axes, width, steps, told)
        case "cfm":
            return FlowMatching(axes, width, layers, steps, told)
        case "mdn":
            return Mixture(axes, width, layers, steps, told)
        case "autoreg":
            model = model_of(arena.program)
            return Autoregressive(arena.space.types, model, width, layers, told)
    return Implicit(axes, arena.space.fixed, width, layers, steps, told)


def responder_of(
    config: GeneratedConfig, lesson: Lesson, arena: Arena, family: Family
) -> Responder:
    """Who answers the law: what is asked for, or the first that is exact, or networks.

    Raises:
        LessonError: what is asked for is not defined on the game.
    """
    wanted = config.response
    if wanted in ("auto", "quadratic"):
        try:
            return Exact(arena, family)
        except LessonError:
            if wanted == "quadratic":
                raise
    if wanted == "tables" and not family.single:
        raise LessonError(
            "tables answer the law of one game, and `vary` asks for a family",
            "leave `response` out, or `vary`",
        )
    if wanted in ("auto", "tables") and family.single:
        tables = lesson.tables() if lesson.tables is not None else None
        ends = lesson.program.horizon is not None
        if tables is not None and (wanted == "tables" or (tables.reduced.exact and ends)):
            return ByTables(tables, arena.space, config.mirror)
        if wanted == "tables":
            raise LessonError(
                f"{lesson.program.name} has no tables that fit", "leave `response` out"
            )
    if wanted in ("path", "score"):
        return Networks(config, lesson, arena, wanted, family)
    finite = any(a.type.finite for s in sights_of(lesson.program) for a in s.actions)
    cut = finite or bool(lesson.program.module.CUTS)
    return Networks(config, lesson, arena, "score" if cut else "path", family)
