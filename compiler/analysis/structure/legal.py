"""Which members a law may have: those with legal actions.

An expression may read only some variables of a member. It may be there if the others have values
with which its action is legal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as joint
from math import prod

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Law, Member, Point, value_at
from mfdsl.compiler.analysis.symbolic.terms import Terms, written_out
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import reachable

OWN = ("state", "trait", "action")
MAX_CASES = 1024  # of values of the variables that are not given


@dataclass(frozen=True)
class Mask:
    """The condition on own variables under which an action is legal; `finite` has their values."""

    terms: Terms
    root: int
    finite: Mapping[Key, range]


def mask_of(copies: Copies, player: Player) -> Mask | None:
    """The mask of a player, None where all actions are legal.

    Raises:
        UnsupportedError, TooManyNodes: it has no written-out form.
    """
    if player.legal is None:
        return None
    terms, (root,) = written_out(copies.facts, [player.legal], bind=True)
    finite: dict[Key, range] = {}
    for i in reachable(terms.nodes, [root]):
        node, type_ = terms.nodes[i], terms.builder.type_of(i)
        if node.op in OWN and type_.finite and not type_.dims:
            finite[node.op, str(node.attr), ()] = range(type_.first, type_.first + type_.size)
    return Mask(terms, root, finite)


def of_legal_majors(model: Model, certificate: Certificate) -> Certificate:
    """The certificate; unknown where a refutation may rest on an illegal action of a major."""
    if certificate.verdict != "refuted":
        return certificate
    masked = {p.name for p in model.players if p.kind == "major" and p.legal is not None}
    attrs = (n.attr for n in model.nodes if n.op == "common_action")
    read = [attr[0] for attr in attrs if isinstance(attr, tuple) and attr[0] in masked]
    if not read:
        return certificate
    detail = f"it may fail at illegal actions of {read[0]} only"
    changes = {"verdict": "unknown", "reason": "unsupported", "witness": None, "detail": detail}
    return certificate.model_copy(update=changes)


def masks_of(model: Model, copies: Copies) -> dict[str, Mask | None]:
    """The mask of each population.

    Raises:
        UnsupportedError, TooManyNodes: one has no written-out form.
    """
    return {p.name: mask_of(copies, p) for p in model.populations}


def is_legal(mask: Mask | None, values: Mapping[Key, Fraction]) -> bool | None:
    """Whether somebody with these values of own variables may be there; None where it is open."""
    if mask is None:
        return True
    missing = [key for key in mask.finite if key not in values]
    if prod(len(mask.finite[key]) for key in missing) > MAX_CASES:
        return None
    sure = True
    for case in joint(*(mask.finite[key] for key in missing)):
        own = {**values, **{k: Fraction(v) for k, v in zip(missing, case, strict=True)}}
        try:
            lo, hi = value_at(mask.terms, mask.root, Point(own))
        except UndefinedError:  # it reads time
            sure = False
            continue
        if lo >= 1:
            return True
        sure = sure and hi <= 0
    return False if sure else None


def is_legal_member(mask: Mask | None, member: Member) -> bool:
    """The same of a member of a law: False where it is open."""
    own = {(op.removeprefix("peer_"), name, at): v for (op, name, at), v in member.items()}
    return is_legal(mask, own) is True


def legal_part(masks: Mapping[str, Mask | None], laws: Mapping[str, Law]) -> dict[str, Law] | None:
    """Laws without the members that may be illegal; None where nobody is left."""
    found: dict[str, Law] = {}
    for name, law in laws.items():
        kept = [(mass, member) for mass, member in law if is_legal_member(masks[name], member)]
        whole = sum((mass for mass, _ in kept), Fraction(0))
        if not whole:
            return None
        found[name] = [(mass / whole, member) for mass, member in kept]
    return found


def are_legal(masks: Mapping[str, Mask | None], laws: Mapping[str, Law]) -> bool:
    """Whether all members of some laws may be there, for certain."""
    return all(is_legal_member(masks[n], m) for n, law in laws.items() for _, m in law)
