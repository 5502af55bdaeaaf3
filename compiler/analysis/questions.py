"""Questions without a claim: `lipschitz(reward, mu)` asks for the constant, `monotone(reward, mu)`
for the verdict. They are written as in `require`, without a bound.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mfdsl.compiler.analysis.asymmetry.asymmetry import asymmetry
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.images import ImageError, image
from mfdsl.compiler.analysis.laws_and_ranges import normalised, value_range_of
from mfdsl.compiler.analysis.lipschitz import Question, lipschitz
from mfdsl.compiler.analysis.opened import assumptions, box_of, named, opened
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.analysis.structure.independent import (
    independent_value,
    laws_of,
    nodes_of,
)
from mfdsl.compiler.analysis.structure.independent_moves import independent_dynamics
from mfdsl.compiler.analysis.structure.invariant import invariant
from mfdsl.compiler.analysis.subjects import (
    law_name,
    source_names,
    sources_of,
    subject_names,
    subject_of,
)
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.whole_box import over_box
from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.nearest import nearest
from mfdsl.compiler.syntax.parse import parse

OF_PLAYER = re.compile(r"\s*(?P<player>\w+(\[[^:()]*\])?)\s*:\s*(?P<claim>.*)", re.DOTALL)
HEAD = "model question\nrequire "
SECONDS = 5.0


class QuestionError(ValueError):
    """A question that has no meaning for a game; `hint` says what would have one."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class _Asked:
    """A question: the call, whose it is if that is said, and how long it may take.

    `box` holds the parameters that range over intervals, `start` is where the text of the call is.
    """

    model: Model
    text: str
    call: ast.Call
    player: str | None
    seconds: float
    box: Mapping[str, tuple[float, float]]

    def words(self, *known: str) -> list[str]:
        """The names among the arguments, `flow` or `flow[cars]`, as many as are described."""
        values = [a.value for a in self.call.arguments if a.name is None]
        found = [self.read(v.span) for v in values if isinstance(v, ast.Name | ast.Index)]
        if len(found) != len(self.call.arguments) or len(found) != len(known):
            name = self.call.function.name
            raise QuestionError(
                f"`{name}` asks about {_counted(known)}, not `{self.shown()}`",
                f"for example `{EXAMPLES[name]}`",
            )
        return found

    def read(self, span: Span) -> str:
        """The text at a place."""
        return self.text[span.start - len(HEAD) : span.end - len(HEAD)]

    def shown(self) -> str:
        """The text of the arguments."""
        return self.text.partition("(")[2].rpartition(")")[0].strip()

    def error(self, message: str, span: Span, hint: str) -> QuestionError:
        """An error with its place under the question."""
        return QuestionError(_placed(self.text, message, span), hint)


def answers(
    model: Model, text: str, seconds: float = SECONDS, *, whole_box: bool = False
) -> list[Certificate]:
    """The certificates that answer a question about a model; `lipschitz` has one for each source.

    With `whole_box` they are about all values of the parameters in their ranges. `PLAYER: claim`
    asks about one player; without it there must be just one that has rewards, or states if
    dynamics are asked for.

    Raises:
        QuestionError: the question cannot be read, or names what the model does not have.
    """
    whose = OF_PLAYER.fullmatch(text)
    player, rest = (whose["player"], whose["claim"]) if whose else (None, text)
    if player is not None and player not in [p.name for p in model.players]:
        names = ", ".join(p.name for p in model.players)
        raise QuestionError(f"no player `{player}`", f"write `PLAYER: ...` with one of {names}")
    call = _call(rest.strip())
    box = box_of(model) if whole_box else {}
    asked = _Asked(model, rest.strip(), call, player, seconds, box)
    answer = KINDS[call.function.name]
    if not whole_box:
        return answer(asked)
    if answer is _slopes:  # rechecked one by one, without those at bound values
        return list(over_box(model, answer(asked)))
    return list(over_box(model, answer(asked), lambda: answer(replace(asked, box={}))))


def _call(text: str) -> ast.Call:
    """The call that a question is."""
    if not text:
        raise QuestionError("cannot read an empty question", _known())
    sink = Sink()
    unit = parse(SourceFile("question", HEAD + text), sink)
    for found in sink.diagnostics:
        if found.primary is not None:
            helps = [h.text for h in found.helps]
            hint = helps[0] if helps else f"for example `{EXAMPLES['lipschitz']}`"
            raise QuestionError(_placed(text, found.message, found.primary.span), hint)
    claims = [d.claim for d in unit.declarations if isinstance(d, ast.Require)]
    if len(claims) != 1 or len(unit.declarations) != 1:
        raise QuestionError(f"cannot read the question `{text}`", _known())
    claim = claims[0]
    if isinstance(claim, ast.Compare | ast.Member):
        raise QuestionError(
            f"a question has no bound: `{text}`", "leave it out, or write it as a `require`"
        )
    if not isinstance(claim, ast.Call):
        raise QuestionError(f"cannot read the question `{text}`", _known())
    if claim.function.name not in KINDS:
        near = nearest(claim.function.name, KINDS)
        hint = f"did you mean `{EXAMPLES[near]}`?" if near is not None else _known()
        message = f"cannot read the question: `{claim.function.name}` is nothing to ask for"
        raise QuestionError(_placed(text, message, claim.function.span), hint)
    return claim


def _placed(text: str, message: str, span: Span) -> str:
    """A message, the question, and a mark under the place."""
    start = min(max(span.start - len(HEAD), 0), len(text))
    length = max(min(span.end - len(HEAD), len(text)) - start, 1)
    return f"{message}\n  {text}\n  {' ' * start}{'^' * length}"


def _known() -> str:
    return f"known: {', '.join(EXAMPLES.values())}"


def _counted(known: Sequence[str]) -> str:
    if len(known) == 2:
        return f"two names, {known[0]} and {known[1]}"
    return known[0] if known else "nothing"


def _slopes(asked: _Asked) -> list[Certificate]:
    what, source = asked.words("what", "source")
    model, player = asked.model, _player(asked.model, asked.player, what)
    facts, subject = facts_of(model), subject_of(model, player, what)
    if subject is None:
        raise _unknown(what, player, subject_names(player))
    sources = sources_of(model, facts, player, source)
    if not sources:
        raise _unknown(source, player, source_names(model, player))
    budget = Budget(seconds=asked.seconds / len(sources))
    return [
        lipschitz(Question(facts, subject, s, budget, model.places, asked.box)) for s in sources
    ]


def _of_rewards(asked: _Asked) -> list[Certificate]:
    """Claims on the rewards of the whole game at laws."""
    what, law = asked.words("reward", "a law")
    laws = [n for p in asked.model.populations for n in (law_name(p), p.name, p.family) if n]
    if what != "reward" or law not in laws:
        name = asked.call.function.name
        raise QuestionError(
            f"`{name}` is about the rewards of the game and a law, not `{what}` and `{law}`",
            f"for example `{name}(reward, {laws[0]})`",
        )
    return _structure(asked)


def _of_game(asked: _Asked) -> list[Certificate]:
    """Claims on the whole game, without arguments."""
    asked.words()
    return _structure(asked)


def _structure(asked: _Asked) -> list[Certificate]:
    found = structure_certificates(asked.model, asked.seconds, box=asked.box)
    return [c for c in found if c.claim == asked.call.function.name]


def _linear_quadratic(asked: _Asked) -> list[Certificate]:
    acting = [p for p in asked.model.players if p.kind != "environment"]
    found = _structure(asked)
    if not asked.call.arguments:
        return [c for c in found if asked.player in (None, c.subject)]
    (name,) = asked.words("a player")
    players = [p.name for p in acting if name in (p.name, p.family, p.handle)]
    if not players:
        known = ", ".join(p.name for p in acting)
        raise QuestionError(f"no player `{name}` that acts", f"known: {known}")
    return [c for c in found if c.subject in players]


def _independent(asked: _Asked) -> list[Certificate]:
    what, law = asked.words("what", "a law")
    player = _player(asked.model, asked.player, what)
    source = laws_of(asked.model, law)
    if source is None:
        known = dict.fromkeys(law_name(p) for p in asked.model.populations)
        raise QuestionError(f"no population has the law `{law}`", f"known: {', '.join(known)}")
    model = opened(asked.model, asked.box)
    copies = Copies(facts_of(model))
    if what == "dynamics":
        found = independent_dynamics(
            model, copies, seconds=asked.seconds, player=model.player(player.name), source=source
        )
        return [_over(asked, found)]
    subject = subject_of(model, player, what)
    if subject is None:
        raise _unknown(what, player, subject_names(player))
    nodes = nodes_of(model, copies, subject)
    found = independent_value(
        model, copies, what, nodes, player=player, seconds=asked.seconds, source=source
    )
    return [_over(asked, found)]


def _over(asked: _Asked, certificate: Certificate) -> Certificate:
    """A certificate of the opened model as one over the box."""
    changes = {
        "assumptions": assumptions(asked.box),
        "witness": named(certificate.witness, {}),
    }
    return certificate.model_copy(update=changes)


def _invariant(asked: _Asked) -> list[Certificate]:
    arguments = asked.call.arguments
    if not arguments or any(a.name is None for a in arguments):
        raise QuestionError(
            "`invariant` takes variables and their images", f"for example `{EXAMPLES['invariant']}`"
        )
    populations = asked.model.populations
    if asked.player is None and len(populations) > 1:
        names = ", ".join(p.name for p in populations)
        raise QuestionError("whose variables?", f"write `PLAYER: ...` with one of {names}")
    player = _player(asked.model, asked.player or populations[0].name, "dynamics")
    model = opened(asked.model, asked.box)
    copies = Copies(facts_of(model))
    try:
        images = {
            a.name.name: image(model, copies, player, a.value)
            for a in arguments
            if a.name is not None
        }
    except ImageError as error:
        raise asked.error(
            str(error), error.span, "images are sums, products and choices of own variables"
        ) from None
    try:
        found = invariant(model, copies, player, images, "invariant", asked.seconds)
    except ValueError as error:
        raise asked.error(
            f"this map has no meaning: {error}",
            asked.call.span,
            "map variables to their own values",
        ) from None
    return [_over(asked, found)]


def _asymmetry(asked: _Asked) -> list[Certificate]:
    (what,) = asked.words("`reward`, `dynamics`, or the name of a term or let")
    player = _player(asked.model, asked.player, what)
    if subject_of(asked.model, player, what) is None:
        raise _unknown(what, player, subject_names(player))
    if player.kind != "population":
        raise QuestionError(f"`{player.name}` is no population", "only agents can be unlike")
    return [asymmetry(asked.model, player.name, what, asked.seconds, box=asked.box)]


def _range(asked: _Asked) -> list[Certificate]:
    (what,) = asked.words("`reward`, or the name of a term or let")
    player = _player(asked.model, asked.player, what)
    subject = subject_of(asked.model, player, what)
    if subject is None or subject.dynamics is not None:
        raise _unknown(what, player, [n for n in subject_names(player) if n != "dynamics"])
    model = opened(asked.model, asked.box)
    found = value_range_of(model, what, [t.node for t in subject.terms], asked.seconds)
    return [_over(asked, found)]


def _normalised(asked: _Asked) -> list[Certificate]:
    (what,) = asked.words("`dynamics`, or the name of a state, trait or noise")
    player = _player(asked.model, asked.player, "dynamics")
    model = opened(asked.model, asked.box)
    found = normalised(model, player, what, asked.seconds)
    if not found:
        drawn = [n.name.removesuffix("_next") for n in player.noises if n.density is not None]
        raise _unknown(what, player, ["dynamics", *drawn])
    return [_over(asked, c) for c in found]


def _player(model: Model, name: str | None, what: str) -> Player:
    if name is not None:
        found = [p for p in model.players if p.name == name]
    else:
        found = [p for p in model.players if (p.states if what == "dynamics" else p.rewards)]
        if len(found) > 1 and what == "dynamics":
            found = [p for p in found if p.kind == "population"]
    if len(found) != 1:
        names = ", ".join(p.name for p in model.players)
        raise QuestionError(f"whose `{what}`?", f"write `PLAYER: ...` with one of {names}")
    return found[0]


def _unknown(name: str, player: Player, known: list[str]) -> QuestionError:
    near = nearest(name, known)
    hint = f"did you mean `{near}`? " if near is not None else ""
    return QuestionError(
        f"`{player.name}` knows no `{name}`", f"{hint}known: {', '.join(dict.fromkeys(known))}"
    )


KINDS: dict[str, Callable[[_Asked], list[Certificate]]] = {
    "lipschitz": _slopes,
    **dict.fromkeys(
        ("monotone", "strictly_monotone", "monotone_on_flows", "potential", "concave_potential"),
        _of_rewards,
    ),
    **dict.fromkeys(("skew_affine", "contraction"), _of_rewards),
    "existence": _of_game,
    "linear_quadratic": _linear_quadratic,
    "independent": _independent,
    "invariant": _invariant,
    "asymmetry": _asymmetry,
    "range": _range,
    "normalised": _normalised,
}
EXAMPLES = {
    **{name: f"{name}(reward, mu)" for name in KINDS},
    "existence": "existence()",
    "linear_quadratic": "linear_quadratic(PLAYER)",
    "invariant": "invariant(x = -x)",
    "asymmetry": "asymmetry(dynamics)",
    "range": "range(reward)",
    "normalised": "normalised(dynamics)",
}
