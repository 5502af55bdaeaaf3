"""Claims about slopes and structure in `require`: read from the tree, decided on the model.

What decides them is loaded for a spec that makes one.
"""

from collections.abc import Sequence

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.sema import expressions, sets
from mfdsl.compiler.sema.claim import BOUNDED, NAMES, Claim
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.values import Env, Term
from mfdsl.compiler.syntax import ast


def is_regularity(claim: ast.Expr) -> bool:
    """Whether a claim is about slopes or structure."""
    parts = claim.operands if isinstance(claim, ast.Compare) else (claim,)
    return any(isinstance(p, ast.Call) and p.function.name in NAMES for p in parts)


def read_claim(ctx: Context, env: Env, claim: ast.Expr, player: Player | None) -> Claim | None:
    """The claim of a `require` about slopes or structure, None with an error.

    `lipschitz(reward, mu) <= 5`, `5 >= lipschitz(reward, mu)`, `monotone(reward, mu)`, or a bare
    `lipschitz(reward, mu)`, which claims that there is a constant.
    """
    call, bound, upper = _parts(claim)
    if call is None or (bound is not None and not upper):
        ctx.error(
            "MFG206",
            "a constant is bounded from above",
            claim.span,
            "not a bound from above",
            helps=[_bounded(ctx, claim)],
        )
        return None
    most = None
    if bound is not None:
        if call.function.name not in BOUNDED:
            ctx.error(
                "MFG206",
                f"`{call.function.name}` holds or not, there is nothing to compare",
                claim.span,
                "compared with a number",
                helps=[f"write `require {ctx.written(call.span)}`"],
            )
            return None
        static = Env(file=env.file, static=True)
        most = sets.static_real(ctx, static, bound, "the bound of a claim")
        if most is None:
            return None
    images = {}
    for argument in call.arguments:
        if argument.name is not None:
            value = expressions.lower(ctx, env, argument.value)
            if not isinstance(value, Term):
                return None
            images[argument.name.name] = value.node
    return Claim(call, player, most, claim.span, images)


def _bounded(ctx: Context, claim: ast.Expr) -> str:
    """The claim of a constant with a bound from above."""
    parts = claim.operands if isinstance(claim, ast.Compare) else (claim,)
    calls = (p for p in parts if isinstance(p, ast.Call) and p.function.name in NAMES)
    call = next(calls, None)
    if call is None:
        return "write a claim alone, or with `<=` and a number behind it"
    return f"write `{ctx.written(call.span)} <= 5`, with the bound that you need"


def _parts(claim: ast.Expr) -> tuple[ast.Call | None, ast.Expr | None, bool]:
    """The call, the bound if there is one, and whether it is one from above."""
    if isinstance(claim, ast.Call):
        return claim, None, True
    if not isinstance(claim, ast.Compare) or len(claim.operands) != 2:
        return None, None, False
    left, right = claim.operands
    if isinstance(left, ast.Call) and left.function.name in NAMES:
        return left, right, claim.operators[0] in ("<=", "<")
    if isinstance(right, ast.Call) and right.function.name in NAMES:
        return right, left, claim.operators[0] in (">=", ">")
    return None, None, False


def decide_claims(ctx: Context, model: Model, claims: Sequence[Claim]) -> list[Certificate]:
    """The certificates of all claims; the ones that do not hold are errors."""
    if not claims:
        return []
    from mfdsl.compiler.sema.slope_claims import slopes
    from mfdsl.compiler.sema.structure_claims import STRUCTURE

    deciders = {"lipschitz": slopes, **STRUCTURE}
    found: list[Certificate] = []
    for claim in claims:
        found += deciders[claim.call.function.name](ctx, model, claim)
    return found
