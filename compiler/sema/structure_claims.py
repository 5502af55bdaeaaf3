"""Claims about structure in `require`: independence, monotonicity, symmetries and their like."""

from collections.abc import Callable

from mfdsl.compiler.analysis.asymmetry.asymmetry import asymmetry
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.analysis.structure.independent import (
    Source,
    independent_value,
    laws_of,
    nodes_of,
)
from mfdsl.compiler.analysis.structure.independent_moves import independent_dynamics
from mfdsl.compiler.analysis.structure.invariant import invariant
from mfdsl.compiler.analysis.subjects import subject_names, subject_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.sema.claim import SECONDS, Claim, culprit_of, only_player, unknown_word, words
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.syntax import ast

REFUTED = {
    "independent": ("MFG513", "`{}` depends on the law"),
    "monotone": ("MFG505", "the reward is not monotone in the law"),
    "monotone_on_flows": ("MFG505", "the reward is not monotone on flows"),
    "potential": ("MFG512", "the reward has no potential"),
    "contraction": ("MFG509", "the soft best response is not a contraction"),
    "linear_quadratic": ("MFG508", "the game is not linear-quadratic"),
    "invariant": ("MFG506", "the game changes under this map"),
}


def structural(ctx: Context, model: Model, claim: Claim) -> list[Certificate]:
    """Monotone, potential, linear-quadratic, contraction: certificates of the whole game."""
    name = claim.call.function.name
    found = [c for c in structure_certificates(model, SECONDS) if c.claim == name]
    if name == "linear_quadratic":
        asked = words(claim)
        player = claim.asked if not asked else _player(ctx, model, asked[0])
        found = [c for c in found if player is None or c.subject == player.name]
    if claim.most is not None and name == "contraction":
        found = [_bounded(c, claim.most) for c in found]
    for certificate in found:
        _report(ctx, claim, certificate)
    return found


def _player(ctx: Context, model: Model, word: ast.Name) -> Player | None:
    for player in model.players:
        if word.name in (player.name, player.family, player.handle):
            return player
    unknown_word(ctx, word, [p.name for p in model.players], "no player of that name")
    return None


def _bounded(certificate: Certificate, most: float) -> Certificate:
    """The threshold temperature against a bound: what is above it may still be no contraction."""
    upper = certificate.upper
    if certificate.verdict != "proved" or upper is None or upper <= most:
        return certificate
    detail = f"proved for temperatures above {upper:.6g}"
    changes = {"verdict": "unknown", "reason": "unsupported", "detail": detail}
    return certificate.model_copy(update=changes)


def independence(ctx: Context, model: Model, claim: Claim) -> list[Certificate]:
    """`independent(reward, mu)`, of dynamics, a term or a let."""
    asked = words(claim)
    if not asked:
        return _wrong_arguments(ctx, claim, "`independent(reward, mu)`")
    player = claim.asked or only_player(ctx, model, asked[0])
    if player is None:
        return []
    source = _laws(ctx, model, claim)
    if source is None:
        return []
    copies = Copies(facts_of(model))
    if asked[0].name == "dynamics":
        found = independent_dynamics(model, copies, player=player, source=source)
    else:
        subject = subject_of(model, player, asked[0].name)
        if subject is None:
            unknown_word(ctx, asked[0], subject_names(player), "no reward or let of that name")
            return []
        nodes = nodes_of(model, copies, subject)
        found = independent_value(model, copies, subject.name, nodes, player=player, source=source)
    _report(ctx, claim, found)
    return [found]


def _laws(ctx: Context, model: Model, claim: Claim) -> Source | None:
    """The laws that a claim is about, the second argument; an error where there is none."""
    values = [a.value for a in claim.call.arguments if a.name is None]
    law = values[1] if len(values) == 2 else None
    if isinstance(law, ast.Index) and isinstance(law.base, ast.Name):
        members = [i.value.name for i in law.indices if isinstance(i.value, ast.Name)]
        source = laws_of(model, f"{law.base.name}[{', '.join(members)}]")
        known = law.base
    elif isinstance(law, ast.Name):
        source, known = laws_of(model, law.name), law
    else:
        _wrong_arguments(ctx, claim, "`independent(reward, mu)`")
        return None
    if source is None:
        names = [n for p in model.populations for n in (p.handle, p.name, p.family) if n]
        unknown_word(ctx, known, names, "no population has this law")
    return source


def invariance(ctx: Context, model: Model, claim: Claim) -> list[Certificate]:
    """`invariant(x = x + 1, a = a)`: every argument names a variable and gives its image."""
    player = claim.asked or (model.populations[0] if len(model.populations) == 1 else None)
    if player is None or not claim.images:
        return _wrong_arguments(ctx, claim, "`invariant(x = x + 1)` inside a population")
    copies = Copies(facts_of(model))
    try:
        found = invariant(model, copies, player, claim.images, "invariant", SECONDS)
    except ValueError as error:
        ctx.error("MFG206", f"this map has no meaning: {error}", claim.span, "of these variables")
        return []
    _report(ctx, claim, found)
    return [found]


def asymmetries(ctx: Context, model: Model, claim: Claim) -> list[Certificate]:
    """`asymmetry(dynamics) <= 0.1`: how far agents are from being alike."""
    asked = words(claim)
    if not asked:
        return _wrong_arguments(ctx, claim, "`asymmetry(dynamics)` or `asymmetry(reward)`")
    player = claim.asked or only_player(ctx, model, asked[0])
    if player is None:
        return []
    known = [*subject_names(player)]
    if asked[0].name not in known:
        unknown_word(ctx, asked[0], known, "no reward, let or dynamics of that name")
        return []
    found = asymmetry(model, player.name, asked[0].name, SECONDS, claim.most)
    if found.verdict == "refuted":
        low = f"{found.lower:.6g}" if found.lower is not None else "more"
        ctx.error(
            "MFG507",
            f"asymmetry of `{asked[0].name}` is {low}, required {claim.most:.6g}",
            claim.span,
            f"from `{found.source}`" if found.source else "required here",
            notes=[found.detail] if found.detail else [],
            helps=["narrow the laws of the traits, or let policies `observe` them"],
        )
    elif found.verdict != "proved":
        _undecided(ctx, claim, found)
    return [found]


def _wrong_arguments(ctx: Context, claim: Claim, example: str) -> list[Certificate]:
    name = claim.call.function.name
    ctx.error(
        "MFG206", f"wrong arguments of `{name}`", claim.call.span, "", helps=[f"write {example}"]
    )
    return []


def _report(ctx: Context, claim: Claim, certificate: Certificate) -> None:
    if certificate.verdict == "proved":
        return
    if certificate.verdict != "refuted":
        _undecided(ctx, claim, certificate)
        return
    code, message = REFUTED[claim.call.function.name]
    message = message.format(certificate.subject)
    span, label = culprit_of(certificate, claim.span)
    also = [(claim.span, "required here")] if span != claim.span else []
    notes = [certificate.detail] if certificate.detail and label != certificate.detail else []
    if certificate.witness:
        shown = "; ".join(f"{k}: {v}" for k, v in certificate.witness.items())
        notes.append(f"for example {shown}")
    helps = [certificate.fix] if certificate.fix else []
    ctx.error(code, message, span, label, also=also, notes=notes, helps=helps)


def _undecided(ctx: Context, claim: Claim, certificate: Certificate) -> None:
    why = certificate.detail or f"the budget of {SECONDS:g} counted seconds ran out"
    ctx.error("MFG509", "this `require` could not be decided", claim.span, why)


Decider = Callable[[Context, Model, Claim], list[Certificate]]
STRUCTURE: dict[str, Decider] = {
    "independent": independence,
    "invariant": invariance,
    "asymmetry": asymmetries,
    **dict.fromkeys(
        ("monotone", "monotone_on_flows", "potential", "contraction", "linear_quadratic"),
        structural,
    ),
}
