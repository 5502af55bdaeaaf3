"""All that is found out about the slopes and the structure of a game without being asked.

Every reward and every kernel in every law that it depends on, then the structure. There is a limit
for all of it together, in counted seconds: what it leaves out is unknown, for "budget".
"""

import time

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.effort import SECONDS, STRUCTURE
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, Source, Subject, lipschitz
from mfdsl.compiler.analysis.opened import Box, box_of
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.analysis.subjects import interactions
from mfdsl.compiler.analysis.whole_box import over_box
from mfdsl.compiler.ir.model import Model, Player

SHARE = 0.2  # of the time that is left, for one claim


def regularity(
    model: Model, effort: str = "default", *, whole_box: bool = False
) -> tuple[Certificate, ...]:
    """Certificates of structure, asymmetry and slopes; `effort` is a key of SECONDS.

    With `whole_box` all is about all values of the real parameters in their ranges.
    """
    whole = SECONDS[effort]
    if not whole:
        return ()
    deadline = counted() + whole
    facts, free = facts_of(model), box_of(model) if whole_box else {}
    found = list(structure_certificates(model, STRUCTURE * whole, box=free))
    found += _asymmetries(model, deadline, free)
    for player, subject, source in interactions(model, facts):
        left = deadline - counted()
        if left <= 0:
            found.append(_left_out(player, subject, source, model))
            continue
        started = time.perf_counter()
        question = Question(
            facts, subject, source, Budget(seconds=SHARE * left), model.places, free
        )
        certificate = lipschitz(question)
        seconds = round(time.perf_counter() - started, 6)
        found.append(_named(certificate, player, model).model_copy(update={"seconds": seconds}))
    if not whole_box:
        return tuple(found)
    return over_box(model, found, lambda: structure_certificates(model, STRUCTURE * whole))


def _asymmetries(model: Model, deadline: float, box: Box) -> list[Certificate]:
    """How far the agents of populations that differ are from being alike."""
    from mfdsl.compiler.analysis.asymmetry.asymmetry import asymmetry  # agents rarely differ

    found = []
    for player in model.populations:
        hidden = player.traits and not seen(model, player)
        for what in ("dynamics", "reward") if hidden or player.weights else ():
            left = deadline - counted()
            if left > 0:
                one = asymmetry(model, player.name, what, SHARE * left, box=box)
                found.append(_named(one, player, model))
    return found


def seen(model: Model, player: Player) -> bool:
    """Whether policies see all traits, so that agents of equal traits are alike."""
    shown = {(model.nodes[n.node].op, model.nodes[n.node].attr) for n in player.observe}
    return not player.observe or all(("trait", t.name) in shown for t in player.traits)


def _named(certificate: Certificate, player: Player, model: Model) -> Certificate:
    """With the name of the player where there are several."""
    several = len(model.players) > 1
    subject = f"{certificate.subject} of {player.name}" if several else certificate.subject
    return certificate.model_copy(update={"subject": subject})


def _left_out(player: Player, subject: Subject, source: Source, model: Model) -> Certificate:
    certificate = Certificate(
        claim=f"lipschitz({subject.name}, {source.name})",
        subject=subject.name,
        source=source.name,
        verdict="unknown",
        reason="budget",
        detail="no steps were left: try `--effort high`",
    )
    return _named(certificate, player, model)
