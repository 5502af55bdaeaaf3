"""Whether the social value is concave in the flow, by rules of composition on the rewards.

The social reward of a stage is S(m) = sum over (s, a) of m(s, a) r(s, a, m), m the joint law. Where
moves do not read the law, flows are a polytope, and the social value is concave on it when S is.
Each term of a reward is one of these, and S is the sum of their parts:

- it reads no law: its part is linear;
- everybody gets the same, a concave function of the law: its part is that function (the rules are
  those of Grant, Boyd and Ye 2006, Disciplined convex programming, doi 10.1007/0-387-30528-9_7);
- c * phi(u) with u the mass at one's own place and u phi(u) convex for phi = u, u^p with p >= 1 and
  log(u + e) with e >= 0, and c at most 0: its part is the sum of c u phi(u) over all places;
- it is affine in the law. A part of S is then quadratic, and concave exactly when the affine terms
  are monotone together. Monotone is said of the whole reward, so no other term that differs between
  members may be there; what everybody gets alike counts for nothing in it.

Nothing here imports torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.ir.model import Model, Node
from mfdsl.compiler.ir.walk import LAW, MEANS, OWN, reachable

CLAIM = "concave_social_value"
NOISES = ("noise", "peer_noise", "common_noise")

AFFINE, CONVEX, CONCAVE = 0, 1, -1


@dataclass(frozen=True)
class Shape:
    """How a node depends on the law: `curve` is None where no rule covers it.

    `law` is False where it does not read it; `number` is its value where it is a constant.
    """

    curve: int | None = AFFINE
    law: bool = False
    number: float | None = None


def concave_social(model: Model, *, monotone: bool) -> Certificate:
    """What is known of the concavity of the social reward of a model.

    `monotone` says that its rewards are proved to be monotone. Nothing is said of moves.
    """
    major = next((p.name for p in model.players if p.kind == "major" and p.actions), None)
    if major is not None:
        detail = f"`{major}` chooses, too: chances of its actions multiply laws"
        return _certificate(None, detail)
    shapes = _shapes(model)
    affine, crowded, bent = "", "", False
    for player in model.players:
        for term in player.rewards:
            shape = shapes[term.node]
            if not shape.law or (
                shape.curve in (AFFINE, CONCAVE) and not _reads_oneself(model, term.node)
            ):
                continue
            if _falls_with_own_mass(model, shapes, term.node, player.name):
                crowded, bent = term.name, bent or shape.curve != AFFINE
            elif shape.curve == AFFINE:
                affine = term.name
            else:
                return _certificate(None, f"{term.name}: no rule covers it")
    if not affine:
        return _certificate("terms that are concave one by one")
    if bent:
        return _certificate(None, f"{affine} is affine, but {crowded} beside it is not")
    if not monotone:
        return _certificate(None, f"{affine}: affine, but the rewards are not proved monotone")
    return _certificate("rewards that are affine in the law and monotone")


def _certificate(method: str | None, detail: str | None = None) -> Certificate:
    if method is None:
        return Certificate(
            claim=CLAIM, subject="reward", verdict="unknown", reason="unsupported", detail=detail
        )
    return Certificate(
        claim=CLAIM, subject="reward", verdict="proved", method=(method,), rigor="exact"
    )


def _reads_oneself(model: Model, root: int) -> bool:
    """Whether it may differ between members of a population."""
    return any(model.nodes[i].op in (*OWN, "trait") for i in reachable(model.nodes, [root]))


def _shapes(model: Model) -> list[Shape]:
    """The shape of every node; none is known of noises if a law moves their chances."""
    values = {p.name: p.value for p in model.parameters}
    chances = [n.density for p in model.players for n in p.noises if n.density is not None]
    moved = any(model.nodes[i].op in LAW for i in reachable(model.nodes, chances))
    found: list[Shape] = []
    for node in model.nodes:
        drawn = moved and node.op in NOISES
        shape = _shape(node, [found[i] for i in node.args], values)
        found.append(Shape(None, law=True) if drawn else shape)
    return found


def _shape(node: Node, args: Sequence[Shape], values: Mapping[str, object]) -> Shape:
    if node.op == "mean":
        return Shape(None if args[0].law else AFFINE, law=True)
    if node.op in LAW:
        return Shape(None, law=True)
    if not any(a.law for a in args):
        return Shape(number=_number(node, args, values))
    rule = RULES.get(node.op)
    return Shape(rule(args) if rule is not None else None, law=True)


def _number(node: Node, args: Sequence[Shape], values: Mapping[str, object]) -> float | None:
    """The value of a constant."""
    value = node.attr if node.op == "const" else None
    if node.op == "param" and isinstance(node.attr, str):
        value = values.get(node.attr)  # type: ignore[assignment]
    if isinstance(value, int | float):
        return float(value)
    numbers = [a.number for a in args if a.number is not None]
    if not numbers or len(numbers) < len(args):
        return None
    match node.op:
        case "neg":
            return -numbers[0]
        case "real":
            return numbers[0]
        case "add":
            return sum(numbers)
        case "mul" if len(numbers) == 2:
            return numbers[0] * numbers[1]
        case "div" if numbers[1] != 0:
            return numbers[0] / numbers[1]
    return None


def _joined(args: Sequence[Shape]) -> int | None:
    """The curve of a sum."""
    curves = {a.curve for a in args} - {AFFINE}
    if not curves:
        return AFFINE
    return curves.pop() if len(curves) == 1 else None


def _scaled(curve: int | None, factor: Shape) -> int | None:
    """The curve of a product with something that reads no law."""
    if curve in (None, AFFINE):
        return curve
    if factor.number is None:
        return None
    return curve * (factor.number > 0) - curve * (factor.number < 0)


def _product(args: Sequence[Shape]) -> int | None:
    law = [a for a in args if a.law]
    if len(law) != 1 or len(args) != 2:
        return None
    (factor,) = (a for a in args if not a.law)
    return _scaled(law[0].curve, factor)


def _quotient(args: Sequence[Shape]) -> int | None:
    return None if args[1].law else _scaled(args[0].curve, args[1])


def _power(args: Sequence[Shape]) -> int | None:
    exponent = args[1].number
    if args[0].curve != AFFINE or exponent is None:
        return None
    if exponent == 1:
        return AFFINE
    return CONVEX if exponent > 0 and exponent % 2 == 0 else None


def _branches(args: Sequence[Shape]) -> int | None:
    return None if args[0].law else _joined(args[1:])


def _kept_by(curve: int) -> Callable[[Sequence[Shape]], int | None]:
    """A function with this curve that rises: it keeps affine arguments and those of its curve."""
    return lambda args: curve if all(a.curve in (AFFINE, curve) for a in args) else None


RULES: dict[str, Callable[[Sequence[Shape]], int | None]] = {
    "add": _joined,
    "neg": lambda args: None if args[0].curve is None else -args[0].curve,
    "real": lambda args: args[0].curve,
    "mul": _product,
    "div": _quotient,
    "pow": _power,
    "if": _branches,
    "sum_over": lambda args: args[0].curve,  # the body; its index is a leaf
    "abs": lambda args: CONVEX if args[0].curve == AFFINE else None,
    "max": _kept_by(CONVEX),
    "exp": _kept_by(CONVEX),
    "min": _kept_by(CONCAVE),
    "log": _kept_by(CONCAVE),
    "sqrt": _kept_by(CONCAVE),
}


def _falls_with_own_mass(model: Model, shapes: list[Shape], root: int, population: str) -> bool:
    """Whether it is c phi(u), u the mass at one's own place, c <= 0 and u phi(u) convex."""
    node, sign = model.nodes[root], 1.0
    while True:
        if node.op == "neg":
            sign, node = -sign, model.nodes[node.args[0]]
        elif node.op == "real":
            node = model.nodes[node.args[0]]
        elif node.op in ("mul", "div"):
            factors = [i for i in node.args if not shapes[i].law]
            rest = [i for i in node.args if shapes[i].law]
            number = shapes[factors[0]].number if len(factors) == 1 else None
            if number is None or len(rest) != 1 or (node.op == "div" and rest[0] != node.args[0]):
                return False
            sign, node = sign * number, model.nodes[rest[0]]
        else:
            return sign <= 0 and _rising(model, shapes, node, population)


def _rising(model: Model, shapes: list[Shape], node: Node, population: str) -> bool:
    """Whether it is phi(u) with u phi(u) convex."""
    first = model.nodes[node.args[0]] if node.args else node
    match node.op:
        case "mean":
            return _is_own_mass(model, node, population)
        case "pow":
            exponent = shapes[node.args[1]].number
            return exponent is not None and exponent >= 1 and _is_own_mass(model, first, population)
        case "log" if first.op == "add" and len(first.args) == 2:
            law = [i for i in first.args if shapes[i].law]
            rest = [shapes[i].number for i in first.args if not shapes[i].law]
            floor = rest[0] if len(law) == 1 else None
            mass = model.nodes[law[0]]
            return floor is not None and floor >= 0 and _is_own_mass(model, mass, population)
        case "log":
            return _is_own_mass(model, first, population)
    return False


def _is_own_mass(model: Model, node: Node, population: str) -> bool:
    """Whether it is the share of one's own population that agrees with oneself in some variables.

    Then members fall into classes, u is the mass of one's own, and sums over members are sums over
    classes.
    """
    if node.op not in MEANS or node.op != "mean" or node.attr != (0, population):
        return False
    inner = model.nodes[node.args[0]]
    while inner.op in ("real", "ind"):
        inner = model.nodes[inner.args[0]]
    equal = [inner] if inner.op == "eq" else [model.nodes[i] for i in inner.args]
    return inner.op in ("eq", "and") and all(_agrees(model, pair) for pair in equal)


def _agrees(model: Model, node: Node) -> bool:
    """Whether it says that somebody has the value of one's own state or action."""
    if node.op != "eq":
        return False
    one, other = (model.nodes[i] for i in node.args)
    mine, theirs = (one, other) if one.op in OWN else (other, one)
    return (
        mine.op in ("state", "action")
        and theirs.op == f"peer_{mine.op}"
        and theirs.attr == (0, mine.attr)
    )
