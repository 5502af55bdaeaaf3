"""Noises of a player, in the order in which they are drawn; a noise is private unless common."""

from mfdsl.compiler.ir.model import NoiseVariable
from mfdsl.compiler.ir.types import INT, Type
from mfdsl.compiler.sema import distributions, draws, names, outcomes
from mfdsl.compiler.sema.context import Context, PlayerScope
from mfdsl.compiler.sema.members import is_table
from mfdsl.compiler.sema.values import POISON, Env, Poison, Term
from mfdsl.compiler.syntax import ast


def lower_noises(ctx: Context, scope: PlayerScope) -> list[NoiseVariable]:
    """The declared noises: a finite scalar by its density, all else by its standard draws."""
    docs = {m.name.name: m.doc for m in scope.declaration.members if isinstance(m, ast.Noise)}
    laws = {m.name.name: m.law for m in scope.declaration.members if isinstance(m, ast.Noise)}
    result: list[NoiseVariable] = []
    for name, symbol in scope.noises.items():
        env = scope.env("noise", f"the law of `{name}`", noises=symbol.before)
        if symbol.law is not None:
            drawn = draws.draw(ctx, env, symbol.law, symbol.type, name, "noise")
            if not isinstance(drawn, Poison):
                result += [
                    noise.model_copy(update={"doc": docs[name] if place == 0 else ""})
                    for place, noise in enumerate(drawn[1])
                ]
            continue
        leaf = names.leaf(ctx, env, "noise", name, symbol.type)
        node = distributions.density(ctx, env, laws[name], leaf, symbol.type)
        if not isinstance(node, Poison):
            result.append(_tabled(ctx, name, symbol.type, node, docs[name]))
    return result


def _tabled(ctx: Context, name: str, type: Type, density: Term, doc: str = "") -> NoiseVariable:
    kind = ctx.builder.type_index(type)
    return NoiseVariable(name=name, type=kind, doc=doc, density=density.node)


def drawn_next(
    ctx: Context, env: Env, name: str, law: ast.Expr, target: Type
) -> tuple[Term, list[NoiseVariable]] | Poison:
    """The next value of `x' ~ D`: a noise of its own, by value, by outcome or by standard draws."""
    noise = f"{name}_next"
    if not is_table(target):
        return draws.draw(ctx, env, law, target, noise, "noise")
    if outcomes.by_outcome(target, law) is None:
        leaf = names.leaf(ctx, env, "noise", noise, target)
        node = distributions.density(ctx, env, law, leaf, target)
        return POISON if isinstance(node, Poison) else (leaf, [_tabled(ctx, noise, target, node)])
    listed = outcomes.outcomes(ctx, env, law, target)
    if listed is None:
        return POISON
    positions = Type(kind="int", lo=0, hi=len(listed) - 1)
    leaf = Term(names.leaf(ctx, env, "noise", noise, positions).node, INT)
    weight = outcomes.pick(ctx, leaf, [w for w, _ in listed], law.span)
    value = outcomes.pick(ctx, leaf, [v for _, v in listed], law.span)
    return value, [_tabled(ctx, noise, positions, weight)]
