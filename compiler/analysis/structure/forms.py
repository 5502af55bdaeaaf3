"""What the rewards of a stage are made of: parts whose slopes in the law are known.

Rules come first (a part that only the mass at the own place moves), then functions of means, then
the slope matrix of all kinds of members, then a search. Monotonicity and potentials read this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mfdsl.compiler.analysis.certificate import Reason, Rigor
from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.structure.branching import MAX_KINDS as MAX_BRANCHED, branched
from mfdsl.compiler.analysis.structure.congestion import largest_block
from mfdsl.compiler.analysis.structure.feature_signs import sign_at_all_laws
from mfdsl.compiler.analysis.structure.features import Features, features
from mfdsl.compiler.analysis.structure.jacobian import constant_slopes, entry_terms
from mfdsl.compiler.analysis.structure.masses import MAX_KINDS, InMasses, in_masses
from mfdsl.compiler.analysis.structure.matrices import Sign, sign_of, tangent_pairs
from mfdsl.compiler.analysis.structure.refute import Direction
from mfdsl.compiler.analysis.structure.routes import along_links
from mfdsl.compiler.analysis.structure.separable import separable
from mfdsl.compiler.analysis.structure.stages import Part, Stage, is_noisy, laws_read, total_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.identities import is_zero
from mfdsl.compiler.analysis.symbolic.terms import (
    UnsupportedError,
    difference,
    total,
)
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import reachable

FALLING: tuple[Sign, ...] = ("zero", "negative", "definite")
FEW_KINDS = 32  # where functions of means have been found, but not decided
Failed = (UnsupportedError, TooLargeError, TooManyNodes, UndefinedError)


@dataclass(frozen=True)
class Form:
    """Parts of a reward with what is proved of their slope matrix J on moves v, w of mass.

    `sign` is that of v' J v at all laws (None: open), `symmetric` whether v' J w = w' J v at all
    laws (None: open), `constant` whether J is the same at all laws. `read` names variables by
    population: a definite form is below 0 for any two laws of these that differ. It is None where
    only some means of a law are known to count.
    """

    rule: str
    parts: tuple[Part, ...]
    sign: Sign | None = None
    symmetric: bool | None = None
    constant: bool = False
    rigor: Rigor = "exact"
    direction: Direction | None = None
    reason: Reason | None = None
    detail: str | None = None
    boxes: int = 0
    read: Mapping[str, frozenset[str]] | None = None


@dataclass(frozen=True)
class Forms:
    """A stage and the forms of all its parts that are not null."""

    stage: Stage
    forms: tuple[Form, ...]
    null: tuple[Part, ...]


def forms_of(model: Model, copies: Copies, stage: Stage, seconds: float) -> Forms:
    """The forms of a stage; open ones say why."""
    deadline = counted() + seconds
    null = tuple(p for p in stage.parts if not _reads_own(copies, p))
    left = [p for p in stage.parts if p not in null]
    found: list[Form] = []
    for part in list(left):
        form = _by_separable(copies, part, max(deadline - counted(), 0.0) / 2)
        if form is not None:
            found.append(form)
            left.remove(part)
    if left:
        found.append(_joint(model, copies, left, deadline))
    if len(found) > 1 and any(f.sign not in FALLING for f in found):
        whole = _joint(model, copies, [p for f in found for p in f.parts], deadline)
        if whole.sign is not None:
            return Forms(stage, (_with_symmetry(whole, found),), null)
    return Forms(stage, tuple(found), null)


def _with_symmetry(whole: Form, parts: Sequence[Form]) -> Form:
    """The form of all parts, with what the parts say of symmetry where it does not know."""
    if whole.symmetric is None and all(f.symmetric for f in parts):
        return replace(whole, symmetric=True)
    return whole


def _reads_own(copies: Copies, part: Part) -> bool:
    below = (copies.nodes[i].op for i in reachable(copies.nodes, [part.node]))
    return any(op in ("state", "trait", "action", "noise", "weight") for op in below)


def _by_separable(copies: Copies, part: Part, seconds: float) -> Form | None:
    if is_noisy(copies.facts, part.node):
        return None
    try:
        found = separable(copies, part.player, part.node, seconds)
    except UnsupportedError:
        return None
    if found is None or not found.proved:
        return None
    rule = f"only the mass at the own {', '.join(found.variables)} moves it"
    if found.lo == found.hi == 0:
        return Form(rule, (part,), "zero", True, True, "enclosure")
    sign: Sign | None = None
    if found.hi < 0:
        sign = "definite"
    elif found.hi == 0:
        sign = "negative"
    elif found.lo > 0:
        sign = "indefinite"
    constant = found.lo == found.hi
    slope = f"slope in [{found.lo:.4g}, {found.hi:.4g}]"
    read = {part.player.name: frozenset(found.variables)}
    return Form(rule, (part,), sign, True, constant, "enclosure", detail=slope, read=read)


def _joint(model: Model, copies: Copies, left: Sequence[Part], deadline: float) -> Form:
    """The form of all parts that no rule covers, together."""
    parts = tuple(left)
    if any(is_noisy(copies.facts, p.node) for p in parts):
        return Form("", parts, reason="unsupported", detail="a reward reads a noise and the law")
    rewards = rewards_by_population(copies, parts)
    reads = {name for p in parts for name in laws_read(copies, p.node)} | set(rewards)
    players = [p for p in model.populations if p.name in reads]
    for player in players:
        rewards.setdefault(player.name, total_of(copies, []))
    tried: list[Form] = []
    if len(players) == 1:
        try:
            found = features(copies, players[0], rewards[players[0].name])
            tried.append(_by_features(found, parts, deadline))
        except Failed as error:
            tried.append(Form("", parts, reason="unsupported", detail=str(error)))
    if not tried or tried[-1].sign is None or tried[-1].symmetric is None:
        most = FEW_KINDS if tried and tried[-1].rule else MAX_KINDS
        try:
            game = in_masses(copies, rewards, players, most)
            tried.append(_by_matrix(game, parts, deadline))
        except Failed as error:
            tried.append(Form("", parts, reason="unsupported", detail=str(error)))
    return _best(tried)


def _best(tried: Sequence[Form]) -> Form:
    """The last that decides the sign, with what any other says of symmetry."""
    decided = [f for f in tried if f.sign is not None] or [f for f in tried if f.rule] or tried
    best = decided[-1]
    symmetric = next((f.symmetric for f in tried if f.symmetric is not None), None)
    return Form(
        best.rule,
        best.parts,
        best.sign,
        symmetric,
        any(f.constant for f in tried),
        best.rigor,
        next((f.direction for f in tried if f.direction is not None), None),
        best.reason,
        best.detail,
        sum(f.boxes for f in tried),
        best.read,
    )


def rewards_by_population(copies: Copies, parts: Sequence[Part]) -> dict[str, int]:
    """The sum of some parts for each population that they belong to."""
    names = dict.fromkeys(p.player.name for p in parts)
    return {n: total_of(copies, [p.node for p in parts if p.player.name == n]) for n in names}


def _by_matrix(game: InMasses, parts: tuple[Part, ...], deadline: float) -> Form:
    if not tangent_pairs(game.groups):
        return Form("all members are of one kind", parts, "zero", True, True)
    matrix = constant_slopes(game)
    if matrix is not None:
        sign, symmetric = matrix.sign(), matrix.is_symmetric()
        return Form(
            f"constant slopes between {len(game.kinds)} kinds of members",
            parts,
            sign.sign if sign is not None else None,
            symmetric if game.sure or symmetric else None,
            True,
            "exact" if matrix.exact else "enclosure",
            _direction(game, sign.direction if sign is not None else None),
            None if sign is not None else "tight",
            read=_told_apart(game),
        )
    form = _by_blocks(game, parts, deadline)
    if form is not None:
        return form
    on_links = _by_links(game, parts, deadline)
    if len(game.kinds) > MAX_BRANCHED:
        if on_links is not None:
            return on_links
        raise UnsupportedError(f"slopes between {len(game.kinds)} kinds that vary with the law")
    seconds = max(deadline - counted(), 0.0)
    try:
        found = branched(game, seconds / 2)
    except UnsupportedError:
        if on_links is not None:
            return on_links
        raise
    if on_links is not None and not found.proved:
        return on_links
    symmetric = _is_symmetric(game, deadline)
    return Form(
        "slopes over boxes of laws",
        parts,
        "definite" if found.proved else None,
        symmetric,
        False,
        "enclosure",
        _direction(game, found.direction),
        None if found.proved else "budget",
        boxes=found.boxes,
        read=_told_apart(game),
    )


def _told_apart(game: InMasses) -> dict[str, frozenset[str]]:
    """The variables of the kinds of each population."""
    return {k.population: frozenset(name for (_, name), _ in k.values) for k in game.kinds}


def _by_blocks(game: InMasses, parts: tuple[Part, ...], deadline: float) -> Form | None:
    """The form of masses that meet at a place; None where it is not known to fall."""
    try:
        top = largest_block(game, max(deadline - counted(), 0.0) / 4)
    except UnsupportedError:
        return None
    if top > 0:
        return None
    rule = "only masses at the own place move it"
    sign: Sign = "negative"
    return Form(rule, parts, sign, _is_symmetric(game, deadline), False, "enclosure")


def _by_links(game: InMasses, parts: tuple[Part, ...], deadline: float) -> Form | None:
    """The form of costs of links by their flows; None where it is not known to fall."""
    try:
        proved = along_links(game, max(deadline - counted(), 0.2))
    except Failed:
        return None
    rule = "functions of flows that fall for whom uses them"
    return Form(rule, parts, "negative", True, False, "enclosure") if proved else None


def _direction(game: InMasses, on_pairs: Sequence[float] | None) -> Direction | None:
    """Coefficients of the vectors e_i - e_n as gains of mass of each kind."""
    if on_pairs is None or not game.sure:
        return None
    gains = [0.0] * len(game.kinds)
    for (i, n), c in zip(tangent_pairs(game.groups), on_pairs, strict=True):
        gains[i] += c
        gains[n] -= c
    return Direction(game.kinds, tuple(gains))


def _is_symmetric(game: InMasses, deadline: float) -> bool | None:
    """Whether the slope matrix is symmetric on moves of mass, as identities."""
    terms, jac = game.terms, entry_terms(game)
    pairs = tangent_pairs(game.groups)
    for a, (i, n) in enumerate(pairs):
        for j, m in pairs[:a]:
            there = total(terms, (jac[i][j], jac[n][m], jac[m][i], jac[j][n]))
            back = total(terms, (jac[i][m], jac[n][j], jac[j][i], jac[m][n]))
            left = deadline - counted()
            if left <= 0:
                return None
            found = is_zero(terms, difference(terms, there, back), seconds=min(left, 1.0))
            if not found.holds:
                return found.holds if game.free else None  # a law with members that cannot be
    return True


def _by_features(found: Features, parts: tuple[Part, ...], deadline: float) -> Form:
    count = len(found.monomials)
    traits = any(n.op in ("trait", "peer_trait") for n in found.terms.nodes)
    free = not traits and all(p.player.legal is None for p in parts)  # all members may be there
    rule = f"a function of {count} mean{'s' if count > 1 else ''} times the same of oneself"
    matrix = found.constant()
    if matrix is not None:
        half = [[(matrix[i][j] + matrix[j][i]) / 2 for j in range(count)] for i in range(count)]
        sign = _of_features(found, free, sign_of(half).sign)
        symmetric = all(matrix[i][j] == matrix[j][i] for i in range(count) for j in range(i))
        # On moves of mass the monomials may depend on each other, so only what holds is certain.
        return Form(
            rule,
            parts,
            sign if sign != "indefinite" else None,
            symmetric or (False if free and found.independent else None),
            True,
            reason="tight" if sign == "indefinite" else None,
        )
    symmetric_ = _features_symmetric(found, deadline)
    if symmetric_ is False and not (free and found.independent):
        symmetric_ = None
    try:
        varying = sign_at_all_laws(found, (counted() + deadline) / 2)
    except Failed as error:
        return Form(rule, parts, None, symmetric_, reason="unsupported", detail=str(error))
    reason: Reason | None = None if varying else "budget"
    decided = None if varying is None else _of_features(found, free, varying)
    return Form(rule, parts, decided, symmetric_, False, "enclosure", reason=reason)


def _of_features(found: Features, free: bool, sign: Sign) -> Sign:
    """The sign on moves of mass: features that are constant, or together, do not move with it."""
    return "negative" if sign == "definite" and not (free and found.independent) else sign


def _features_symmetric(found: Features, deadline: float) -> bool | None:
    """Whether the matrix of the features is symmetric at all laws; False where it is not at one."""
    for i in range(len(found.monomials)):
        for j in range(i):
            left = deadline - counted()
            if left <= 0:
                return None
            apart = difference(found.terms, found.matrix[i][j], found.matrix[j][i])
            answer = is_zero(found.terms, apart, seconds=min(left, 1.0)).holds
            if not answer:
                return answer
    return True
