"""Questions without a claim: `lipschitz(reward, mu)` asks for the constant."""

import re

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, lipschitz
from mfdsl.compiler.analysis.opened import box_of
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.subjects import source_names, sources_of, subject_names, subject_of
from mfdsl.compiler.ir.model import Model, Player

SHAPE = re.compile(r"\s*(?:(?P<player>[^:()]+):)?\s*(?P<claim>\w+)\s*\((?P<arguments>[^()]*)\)\s*")
ASKED = ("lipschitz",)
SECONDS = 5.0


class QuestionError(ValueError):
    """A question that has no meaning for a game; `hint` says what would have one."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def answers(
    model: Model, text: str, seconds: float = SECONDS, *, whole_box: bool = False
) -> list[Certificate]:
    """The certificates that answer a question about a model, one for each source; with `whole_box`
    for all values of the parameters in their ranges.

    `PLAYER: lipschitz(what, source)` asks about one player; without it there must be just one that
    has rewards, or states if dynamics are asked for.

    Raises:
        QuestionError: the question cannot be read, or names what the model does not have.
    """
    shape = SHAPE.fullmatch(text)
    if shape is None or shape["claim"] not in ASKED:
        known = ", ".join(f"{name}(what, source)" for name in ASKED)
        raise QuestionError(f"cannot read the question `{text}`", f"known: {known}")
    names = [part.strip() for part in shape["arguments"].split(",")]
    if len(names) != 2:
        raise QuestionError(
            f"`{shape['claim']}` asks about two names, not {len(names)}",
            f"for example `{shape['claim']}(reward, mu)`",
        )
    player = _player(model, shape["player"], names[0])
    facts, subject = facts_of(model), subject_of(model, player, names[0])
    if subject is None:
        raise _unknown(names[0], player, subject_names(player))
    sources = sources_of(model, facts, player, names[1])
    if not sources:
        raise _unknown(names[1], player, source_names(model, player))
    budget = Budget(seconds=seconds / len(sources))
    free = box_of(model) if whole_box else {}
    return [lipschitz(Question(facts, subject, s, budget, model.places, free)) for s in sources]


def _player(model: Model, name: str | None, what: str) -> Player:
    if name is not None:
        found = [p for p in model.players if p.name == name.strip()]
    else:
        found = [p for p in model.players if (p.states if what == "dynamics" else p.rewards)]
        if len(found) > 1 and what == "dynamics":
            found = [p for p in found if p.kind == "population"]
    if len(found) != 1:
        names = ", ".join(p.name for p in model.players)
        message = f"no player `{name.strip()}`" if name is not None else f"whose `{what}`?"
        raise QuestionError(message, f"write `PLAYER: ...` with one of {names}")
    return found[0]


def _unknown(name: str, player: Player, known: list[str]) -> QuestionError:
    return QuestionError(f"`{player.name}` knows no `{name}`", f"known: {', '.join(known)}")
