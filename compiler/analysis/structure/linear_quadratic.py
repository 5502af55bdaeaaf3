"""Linear-quadratic players: affine next states and quadratic rewards, with their matrices.

Sources: Bensoussan, Sung, Yam and Yung, Linear-quadratic mean field games, 2016, arXiv:1404.5741;
Huang, Large-population LQG games involving a major player, 2010. The proof is a normal form of the
expressions; a refutation is a difference of high order, along a line, that is not 0 for certain.
"""

from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate, Reason, Verdict, Witness
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.opened import is_opened
from mfdsl.compiler.analysis.structure.differences import line_difference
from mfdsl.compiler.analysis.structure.features import term_of
from mfdsl.compiler.analysis.structure.quadratics import (
    LinearQuadratic,
    Name,
    Reading,
    Root,
    matrices_of,
    placed,
)
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.evaluation import leaf_key
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.naming import names as named
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial, polynomials
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError, written_out
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Model, Player, Variable
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEMBERS, given, reachable

MAX_ENTRIES = 64


def linear_quadratic(model: Model, copies: Copies, player: Player) -> Certificate:
    """The certificate `linear_quadratic` of a population or a major."""
    return linear_quadratic_form(model, copies, player)[0]


def linear_quadratic_form(
    model: Model, copies: Copies, player: Player
) -> tuple[Certificate, LinearQuadratic | None]:
    """The certificate, and the matrices where it is proved, or proved up to bounds."""
    started = processor_time()
    whole = _whole_variable(model, player)
    if whole is not None:
        detail = f"`{whole}` takes finitely many values, and is not drawn from an interval"
        return _certificate(player, "refuted", started, detail=detail), None
    try:
        reading = _read(model, copies, player)
        guilty = _guilty(reading)
    except (UnsupportedError, TooLargeError, TooManyNodes) as error:
        why = str(error)
        return _certificate(player, "unknown", started, reason="unsupported", detail=why), None
    if guilty is not None:
        return _refuted(model, player, reading, *guilty, started), None
    form = matrices_of(model, player, reading)
    bounded = _bounded_variable(model, player)
    if bounded is not None:
        detail = f"up to the bounds of `{bounded}`, which may bind"
        found = _certificate(player, "unknown", started, reason="domain", detail=detail)
        return found, form
    cut = next((root for root in reading.roots if root.cut is not None), None)
    if cut is not None:
        found = _cut_off(model, copies, player, cut, started)
        return found, form if found.verdict == "unknown" else None
    if player.legal is not None:
        detail = "up to the actions that are not legal"
        found = _certificate(player, "unknown", started, reason="domain", detail=detail)
        return found, form
    return _certificate(player, "proved", started), form


def _certificate(
    player: Player,
    verdict: Verdict,
    started: float,
    *,
    reason: Reason | None = None,
    detail: str | None = None,
    witness: Witness | None = None,
) -> Certificate:
    return Certificate(
        claim="linear_quadratic",
        subject=player.name,
        verdict=verdict,
        method=("normal form of polynomials",),
        rigor="exact",
        reason=reason,
        detail=detail,
        witness=witness,
        seconds=round(processor_time() - started, 6),
    )


def _whole_variable(model: Model, player: Player) -> str | None:
    """A variable that is not real."""
    for v in (*player.states, *player.traits, *player.actions, *player.noises):
        if model.types[v.type].kind != "real":
            return v.name
    return None


def _bounded_variable(model: Model, player: Player) -> str | None:
    """A state or an action with ends."""
    for v in (*player.states, *player.actions):
        type_ = model.types[v.type]
        if type_.lo is not None or type_.hi is not None or type_.ball is not None or type_.box:
            return v.name
    return None


def _read(model: Model, copies: Copies, player: Player) -> Reading:
    roots = []
    for state in player.states:
        whole = given(state.next)
        inner, cut = _unclipped(copies, whole)
        before = _entries(copies, state, whole)
        for (name, node), (_, as_written) in zip(
            _entries(copies, state, inner), before, strict=True
        ):
            roots.append(Root(f"next {name}", node, 1, whole, as_written if cut else None))
    for term in player.rewards:
        where = f"final {term.name}" if term.final else term.name
        roots.append(Root(where, term.node, 2, term.node))
    if len(roots) > MAX_ENTRIES:
        raise UnsupportedError(f"{len(roots)} expressions")
    terms, nodes = written_out(copies.facts, [r.node for r in roots], bind=True)
    return Reading(terms, roots, nodes)


def _entries(copies: Copies, variable: Variable, node: int) -> list[tuple[str, int]]:
    """A scalar, or the entries of an array, by name."""
    type_ = copies.types[variable.type]
    if not type_.dims:
        return [(variable.name, node)]
    kept = copies.types.index(type_.scalar) if type_.scalar in copies.types else len(copies.types)
    if kept == len(copies.types):
        copies.types.append(type_.scalar)
    whole = Type(kind="int")
    if whole not in copies.types:
        copies.types.append(whole)
    at = copies.types.index(whole)
    found = []
    for place in np.ndindex(*type_.dims):
        positions = [copies.add("const", (), int(p), at) for p in place]
        entry = copies.add("element", (node, *positions), None, kept)
        found.append((f"{variable.name}[{', '.join(map(str, place))}]", entry))
    return found


def _unclipped(copies: Copies, node: int) -> tuple[int, bool]:
    """The value before it is cut off at constant ends, and whether some end may bind."""
    here = copies.nodes[node]
    if here.op in ("min", "max") and len(here.args) == 2:
        constant = [a for a in here.args if copies.nodes[a].op in ("const", "param")]
        if len(constant) == 1:
            (inner,) = (a for a in here.args if a != constant[0])
            found, cut = _unclipped(copies, inner)
            return found, cut or not _is_idle(copies, here.op, inner, constant[0])
    return node, False


def _is_idle(copies: Copies, op: str, inner: int, end: int) -> bool:
    """Whether an end never binds, for certain."""
    evaluator = Evaluator(copies.facts, {})
    value, bound = evaluator.value(inner), evaluator.value(end)
    within = value.hi <= bound.lo if op == "min" else value.lo >= bound.hi
    return bool(np.all(within))


def _cut_off(
    model: Model, copies: Copies, player: Player, root: Root, started: float
) -> Certificate:
    """Refuted at a line along which an end binds, or unknown where no line shows it."""
    assert root.cut is not None
    detail = f"{root.where} is cut off"
    try:
        terms, (node,) = written_out(copies.facts, [root.cut], bind=True)
        free = all(p.legal is None for p in model.players)
        witness = line_difference(terms, node, root.degree + 1) if free else None
    except (UnsupportedError, TooLargeError, TooManyNodes):
        witness = None
    verdict: Verdict = "refuted" if witness is not None else "unknown"
    if witness is None:
        detail = f"up to the ends of {root.where}, which may bind"
    found = _certificate(
        player,
        verdict,
        started,
        reason=None if witness is not None else "domain",
        detail=detail,
        witness=witness,
    )
    place = model.places[root.place] if root.place < len(model.places) else None
    return found.model_copy(update={"culprit": place})


def _guilty(reading: Reading) -> tuple[Root, int, str] | None:
    """The first root that is no polynomial of its degree, and the monomial that spoils it."""
    found = polynomials(reading.terms, reading.terms_of, opaque=True)
    assert found is not None
    place: dict[Name, int] = {}
    for root, node, whole in zip(reading.roots, reading.terms_of, found, strict=True):
        groups: dict[tuple[int, ...], dict[tuple[int, ...], Fraction]] = {}
        names = [_name(reading.terms, v) for v in whole.variables]
        for exponents, coefficient in whole.terms.items():
            entries: list[int] = []
            for e, name in zip(exponents, names, strict=True):
                if not e:
                    continue
                if name is None:
                    return root, node, _text(reading.terms, whole, exponents)
                if name[0] != "coefficient":
                    entries += [place.setdefault(name, len(place))] * e
            if len(entries) > root.degree:
                return root, node, _text(reading.terms, whole, exponents)
            rest = tuple(
                e if name is not None and name[0] == "coefficient" else 0
                for e, name in zip(exponents, names, strict=True)
            )
            groups.setdefault(tuple(sorted(entries)), {})[rest] = coefficient
        reading.coefficients.append(
            {
                key: term_of(reading.terms, Polynomial(whole.variables, parts))
                for key, parts in groups.items()
            }
        )
    reading.z = list(place)
    return None


def _name(terms: Terms, variable: int) -> Name | None:
    """An entry of z, ("coefficient", "") for what varies with time at most, None for others."""
    below = [terms.nodes[i] for i in reachable(terms.nodes, [variable])]
    still = ("const", "array", "time", "param")
    if all(n.args or n.op in still or is_opened(n) for n in below) and not any(
        n.op in MEMBERS for n in below
    ):
        return "coefficient", ""
    node = terms.nodes[variable]
    if node.op in ("mean", "mean_others"):
        key = leaf_key(terms, node.args[0])
        if key is None or not key[0].startswith("peer_") or key[0] == "peer_noise":
            return None
        assert isinstance(node.attr, tuple)
        return "mean", f"{node.attr[1]}.{placed(key[1], key[2])}"
    key = leaf_key(terms, variable)
    if key is None:
        return None
    op, name, at = key
    if op in ("state", "trait", "action", "noise"):
        return op, placed(name, at)
    if op in ("common_state", "common_action"):
        return "common", placed(name, at)
    return ("noise", placed(name, at)) if op == "common_noise" else None


def _text(terms: Terms, whole: Polynomial, exponents: tuple[int, ...]) -> str:
    used = [(v, e) for v, e in zip(whole.variables, exponents, strict=True) if e]
    moving = [(v, e) for v, e in used if _name(terms, v) != ("coefficient", "")]
    texts = named(terms, [v for v, _ in moving])
    parts = []
    for name, (_, e) in zip(texts, moving, strict=True):
        text = name.meaning if name.meaning is not None else name.text
        parts.append(text if e == 1 else f"{text}^{e}")
    return " * ".join(parts)


def _refuted(
    model: Model, player: Player, reading: Reading, root: Root, node: int, text: str, began: float
) -> Certificate:
    """Refuted at a line, or unknown where no line shows it."""
    detail = f"{text} in {root.where}"
    free = all(p.legal is None for p in model.players)
    found = line_difference(reading.terms, node, root.degree + 1) if free else None
    certificate = _certificate(
        player,
        "refuted" if found is not None else "unknown",
        began,
        reason=None if found is not None else "unsupported",
        detail=detail,
        witness=found,
    )
    place = model.places[root.place] if root.place < len(model.places) else None
    return certificate.model_copy(update={"culprit": place})
