"""The declarations that stand once: objective, horizon, discount, assumptions, solver block."""

from dataclasses import dataclass

from mfdsl.compiler.diagnostics import Help
from mfdsl.compiler.ir.model import Horizon, Scalar
from mfdsl.compiler.sema import expressions, sets
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.suggestions import FOREIGN_OBJECTIVES, did_you_mean, foreign, insertion
from mfdsl.compiler.sema.values import Env, Poison
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

MAX_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What the top level of a model says besides names."""

    horizon: Horizon
    discount: float
    solver: dict[str, Scalar]
    solver_places: dict[str, Span]


def lower_settings(ctx: Context, unit: ast.Unit) -> Settings | None:
    """Check the top-level declarations; None when one that every model needs is missing."""
    env = Env(file=unit.file, static=True)
    _objective(ctx, unit)
    horizon = _horizon(ctx, env, unit)
    discount = _discount(ctx, env, unit, horizon)
    solver, places = _solver(ctx, env, unit)
    if horizon is None or discount is None:
        return None
    ctx.steps = horizon.steps
    ctx.stationary = horizon.kind == "stationary"
    return Settings(horizon, discount, solver, places)


def _single(ctx: Context, unit: ast.Unit, kind: type, word: str) -> ast.Declaration | None:
    found = [d for d in unit.declarations if isinstance(d, kind)]
    for extra in found[1:]:
        ctx.error(
            "MFG102",
            f"the model has two `{word}` declarations",
            extra.span,
            "declared again",
            also=[(found[0].span, "declared here first")],
        )
    return found[0] if found else None


def _header_span(unit: ast.Unit) -> Span:
    return unit.header.name.span if unit.header else Span(unit.file, 0, 0)


def _objective(ctx: Context, unit: ast.Unit) -> None:
    declaration = _single(ctx, unit, ast.Objective, "objective")
    if not isinstance(declaration, ast.Objective):
        ctx.error(
            "MFG111",
            "the model has no `objective`",
            _header_span(unit),
            "what is solved for?",
            helps=_add_objective(unit),
        )
        return
    name = declaration.name.name
    if name == "team":
        ctx.objective = "team"
    elif name != "nash":
        ctx.error(
            "MFG112",
            f"there is no objective `{name}`",
            declaration.name.span,
            "`nash` or `team`",
            helps=foreign(FOREIGN_OBJECTIVES, name, declaration.name.span)
            or did_you_mean(name, ["nash", "team"], [declaration.name.span]),
        )


def _add_objective(unit: ast.Unit) -> list[Help | str]:
    words = "add `objective nash`: each agent maximises its own reward"
    return [insertion(unit.header.span, "\n\nobjective nash", words) if unit.header else words]


def _horizon(ctx: Context, env: Env, unit: ast.Unit) -> Horizon | None:
    declaration = _single(ctx, unit, ast.Horizon, "horizon")
    if not isinstance(declaration, ast.Horizon):
        ctx.error(
            "MFG111",
            "the model has no `horizon`",
            _header_span(unit),
            "how long is it played?",
            helps=["add `horizon 100`, or `horizon infinite` with `discount 0.99`"],
        )
        return None
    value = declaration.value
    if isinstance(value, ast.Name) and value.name == "infinite":
        return Horizon(kind="infinite", steps=None)
    if isinstance(value, ast.Name) and value.name == "stationary":
        return Horizon(kind="stationary", steps=None)
    steps = sets.static_integer(ctx, env, value, "the horizon")
    if steps is None:
        return None
    if not 1 <= steps <= MAX_STEPS:
        ctx.error(
            "MFG213",
            f"the horizon is {steps}",
            value.span,
            f"must be at least 1 and at most {MAX_STEPS:,}",
            helps=["`horizon 1` is a one-shot game"] if steps < 1 else [],
        )
        return None
    return Horizon(kind="finite", steps=steps)


def _discount(ctx: Context, env: Env, unit: ast.Unit, horizon: Horizon | None) -> float | None:
    declaration = _single(ctx, unit, ast.Discount, "discount")
    endless = horizon is not None and horizon.kind != "finite"
    if not isinstance(declaration, ast.Discount):
        if endless and horizon is not None:
            place = next(d.span for d in unit.declarations if isinstance(d, ast.Horizon))
            ctx.error(
                "MFG111",
                f"`horizon {horizon.kind}` needs a `discount`",
                place,
                "values would be infinite",
                helps=["add `discount 0.99`"],
            )
            return None
        return 1.0
    value = sets.static_real(ctx, env, declaration.value, "the discount")
    if value is None:
        return None
    if not 0 < value < 1 and not (value == 1 and not endless):
        ctx.error(
            "MFG213",
            f"the discount is {value:g}",
            declaration.value.span,
            "must lie between 0 and 1" + ", below 1 without an end" * endless,
        )
        return None
    return value


def check_assumptions(ctx: Context, unit: ast.Unit) -> None:
    """Every `assume` must hold at the bound values of the parameters."""
    env = Env(file=unit.file, static=True)
    for declaration in unit.declarations:
        if not isinstance(declaration, ast.Assume):
            continue
        condition = expressions.lower_condition(ctx, env, declaration.condition)
        if isinstance(condition, Poison):
            continue
        exact = ctx.exact(condition)
        if exact is None:
            ctx.error(
                "MFG211",
                "this assumption cannot be decided from the parameters alone",
                declaration.condition.span,
                "not a comparison of sums, products and quotients of parameters",
            )
        elif not exact:
            ctx.error(
                "MFG307",
                "an assumption fails at the values of the parameters",
                declaration.condition.span,
                sides(ctx, env, declaration.condition),
            )


def sides(ctx: Context, env: Env, condition: ast.Expr) -> str:
    """Both sides of a comparison as numbers, for the label of an error."""
    if not isinstance(condition, ast.Compare):
        return "does not hold"
    shown = []
    for operand in condition.operands:
        term = expressions.lower_number(ctx, env, operand)
        exact = None if isinstance(term, Poison) else ctx.exact(term)
        shown.append("?" if exact is None else f"{float(exact):g}")
    text = shown[0]
    for operator, value in zip(condition.operators, shown[1:], strict=True):
        text += f" {operator} {value}"
    return f"{text} does not hold"


def _solver(ctx: Context, env: Env, unit: ast.Unit) -> tuple[dict[str, Scalar], dict[str, Span]]:
    declaration = _single(ctx, unit, ast.Solver, "solver")
    values: dict[str, Scalar] = {}
    places: dict[str, Span] = {}
    if not isinstance(declaration, ast.Solver):
        return values, places
    for setting in declaration.settings:
        name = setting.name.name
        if name in values:
            ctx.error("MFG102", f"`{name}` is already set", setting.name.span, "set again")
            continue
        value = _setting(ctx, env, setting.value)
        if value is not None:
            values[name] = value
            places[name] = setting.span
    return values, places


def _setting(ctx: Context, env: Env, expr: ast.Expr) -> Scalar | None:
    if isinstance(expr, ast.Name) and expr.name not in ctx.scopes[env.file]:
        return expr.name
    if isinstance(expr, ast.Text):
        return expr.value
    if isinstance(expr, ast.Boolean):
        return expr.value
    term = expressions.lower_number(ctx, env, expr)
    if isinstance(term, Poison):
        return None
    exact = ctx.exact(term)
    if exact is None:
        ctx.error("MFG211", "a setting is a plain number or a word", expr.span, "not a constant")
        return None
    return int(exact) if term.type.kind == "int" else float(exact)
