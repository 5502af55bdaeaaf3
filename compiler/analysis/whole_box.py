"""What certificates over a box of parameters may say: about all values that a game may have.

Three things are outside of what ranges over the box. Parameters that are no real numbers with two
ends keep their bound values, so that nothing is proved of the others. Those that were folded into
sizes, bounds, the horizon or the discount keep them too, and every claim assumes that they do. And
values that the spec excludes with `assume` are looked at, too: they refute nothing and attain
nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

from mfdsl.compiler.analysis.assumed import meets, names_in, undecided
from mfdsl.compiler.analysis.certificate import Certificate, Witness
from mfdsl.compiler.analysis.opened import Box, assumptions, box_of, named as witnessed
from mfdsl.compiler.analysis.subjects import subject_of
from mfdsl.compiler.ir.model import Model, NoiseVariable, Parameter, Player
from mfdsl.compiler.ir.walk import reachable

ATTAINED = ("lipschitz(", "asymmetry(")  # claims whose `lower` a witness attains
OF_SUBJECT = (*ATTAINED, "range")  # claims that read their subject and nothing else
NOISES = ("noise", "peer_noise", "common_noise")


def over_box(
    model: Model,
    certificates: Iterable[Certificate],
    as_bound: Callable[[], Iterable[Certificate]] = tuple,
) -> tuple[Certificate, ...]:
    """Certificates over the box of a model, without what does not hold of all its values.

    What then is open is refuted where it is among the same claims at the bound values, `as_bound`.
    All assume the values of parameters that were folded into the model.
    """
    found, folded = _over(model, certificates, as_bound), _folded(model)
    if not folded:
        return found
    return tuple(c.model_copy(update={"assumptions": (*c.assumptions, *folded)}) for c in found)


def _over(
    model: Model,
    certificates: Iterable[Certificate],
    as_bound: Callable[[], Iterable[Certificate]],
) -> tuple[Certificate, ...]:
    """What holds over the box, whatever was folded into the model."""
    box = box_of(model)
    given = list(certificates)
    found = [_met(model, box, _open(model, box, c)) for c in given]
    lost = [old.verdict == "refuted" != new.verdict for old, new in zip(given, found, strict=True)]
    if not any(lost):
        return tuple(found)
    there = {(c.claim, c.subject): c for c in as_bound() if c.verdict == "refuted"}
    values = {p.name: float(p.value) for p in model.parameters if p.name in box}  # type: ignore[arg-type]
    for k, one in enumerate(found):
        other = there.get((one.claim, one.subject)) if lost[k] else None
        if other is not None:
            told = {"assumptions": assumptions(box), "witness": witnessed(other.witness, values)}
            found[k] = other.model_copy(update=told)
    return tuple(found)


def closed_parameters(model: Model, box: Box, roots: Sequence[int]) -> list[Parameter]:
    """The parameters that some expressions read, that have other values, and that no box holds."""
    read = _read(model, roots)
    return [
        p for p in model.parameters if p.name in read and p.name not in box and _varies(model, p)
    ]


def _folded(model: Model) -> tuple[str, ...]:
    """The values of parameters that fix sizes, bounds, horizon or discount, and have others."""
    fixed = [p for p in model.parameters if p.structural and _varies(model, p)]
    return tuple(
        f"{p.name} as bound" if isinstance(p.value, tuple) else f"{p.name} = {p.value:g}"
        for p in fixed
    )


def _varies(model: Model, parameter: Parameter) -> bool:
    kind = model.types[parameter.type]
    return kind.lo is None or kind.hi is None or kind.lo < kind.hi


def _open(model: Model, box: Box, certificate: Certificate) -> Certificate:
    """A certificate that is not decided where only one value of a parameter was looked at."""
    closed = closed_parameters(model, box, _roots(model, certificate))
    if not closed or certificate.verdict == "refuted":
        return certificate
    changes: dict[str, object] = {"upper": None, "shares": (), "obligations": ()}
    if not certificate.claim.startswith(ATTAINED):
        changes["lower"] = None
    if certificate.verdict == "unknown":
        return certificate.model_copy(update=changes)
    names = ", ".join(f"`{p.name}`" for p in closed)
    kept = "its bound value" if len(closed) == 1 else "their bound values"
    changes |= {
        "verdict": "unknown",
        "reason": "unsupported",
        "detail": f"{names} ranged over nothing but {kept}: only real numbers with two ends do",
    }
    return certificate.model_copy(update=changes)


def _met(model: Model, box: Box, certificate: Certificate) -> Certificate:
    """A certificate whose witness, if it needs one, meets what the spec assumes."""
    attained = certificate.claim.startswith(ATTAINED) and bool(certificate.lower)
    if not (attained or certificate.verdict == "refuted"):
        return certificate
    conditions = undecided(model, box.keys())
    if not conditions:
        return certificate
    read = _read(model, _roots(model, certificate)) & box.keys()
    names = {n for text in conditions for n in names_in(text)}
    if names <= {p.name for p in model.parameters}:
        read &= names
    values = _values(certificate.witness or {}, box)
    told = values.keys() >= read
    if told and meets(model, values):
        return certificate
    changes: dict[str, object] = {"witness": None}
    if certificate.lower is not None:
        changes["lower"] = 0.0 if attained else None
    if certificate.verdict == "refuted":
        which = _text(values) if told else "values that are not known"
        changes |= {
            "verdict": "unknown",
            "reason": "unsupported",
            "detail": f"it fails at {which}, of which `assume` is not seen to hold",
            "culprit": None,
            "fix": None,
        }
    return certificate.model_copy(update=changes)


def _values(witness: Witness, box: Box) -> dict[str, Fraction]:
    """The parameters of a witness: numbers, or quotients of whole ones as text."""
    found = {}
    for name in box.keys() & witness.keys():
        try:
            found[name] = Fraction(str(witness[name]))
        except ValueError:
            continue
    return found


def _text(values: Mapping[str, Fraction]) -> str:
    return ", ".join(f"{name} = {float(value):g}" for name, value in sorted(values.items()))


def _roots(model: Model, certificate: Certificate) -> list[int]:
    """The expressions that a claim is about, or more."""
    whole = [n for p in model.players for n in (*_moves(p), *_begins(p))]
    whole += [t.node for p in model.players for t in p.rewards]
    if not certificate.claim.startswith(OF_SUBJECT):
        return whole
    name = certificate.subject.partition(" of ")[0]
    subjects = [s for p in model.players if (s := subject_of(model, p, name)) is not None]
    if not subjects:
        return whole
    found = [t.node for s in subjects for t in s.terms]
    found += [n for s in subjects if s.dynamics is not None for n in _moves(s.dynamics)]
    if certificate.claim.startswith("asymmetry("):
        found += [n for p in model.players for n in _begins(p)]
    return found


def _moves(player: Player) -> list[int]:
    found = [s.next for s in player.states] + [n.density for n in player.noises]
    return [n for n in (*found, player.legal) if n is not None]


def _begins(player: Player) -> list[int]:
    found = [n for v in (*player.states, *player.traits) for n in (v.initial, v.start)]
    return [n for n in (*found, *(d.density for d in player.draws)) if n is not None]


def _read(model: Model, roots: Sequence[int]) -> set[str]:
    """The parameters that expressions read, and the chances of the noises in them."""
    noises: dict[str, list[NoiseVariable]] = {}
    for player in model.players:
        for noise in player.noises:
            noises.setdefault(noise.name, []).append(noise)
    below = set(roots)
    while True:
        nodes = [model.nodes[i] for i in reachable(model.nodes, below)]
        drawn = {_name(n.attr) for n in nodes if n.op in NOISES} & noises.keys()
        more = {v.density for name in drawn for v in noises[name] if v.density is not None}
        if more <= below:
            return {str(n.attr) for n in nodes if n.op == "param"}
        below |= more


def _name(attr: object) -> str:
    return str(attr[-1] if isinstance(attr, tuple) else attr)
