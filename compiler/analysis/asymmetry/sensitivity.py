"""How much a player changes when one draw behind its traits goes through all of its values."""

from mfdsl.compiler.analysis.asymmetry.asymmetry import outputs_of
from mfdsl.compiler.analysis.asymmetry.averages import constant
from mfdsl.compiler.analysis.asymmetry.degrees import degree
from mfdsl.compiler.analysis.asymmetry.extremes import extremes
from mfdsl.compiler.analysis.asymmetry.outputs import Outputs, difference
from mfdsl.compiler.analysis.asymmetry.traits import hidden_of, hidden_sources, own
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Player


def sensitivities(
    model: Model, player: Player, what: str, seconds: float = 1.0
) -> dict[str, float] | None:
    """Upper bounds by name of the continuous draws, each uniform on [0, 1].

    The law of the next state (l1) or the reward is affine in each, so that two players whose draws
    are less than r apart differ by at most r times the sum. None where they are not, or a draw is
    not a uniform number.
    """
    copies = Copies(facts_of(model))
    try:
        hidden = hidden_sources(copies, player, hidden_of(model, player))
        outputs = outputs_of(model, player, what, copies)
        roots = [own(copies, r, hidden) for r in outputs.roots]
        found: dict[str, float] = {}
        for source in hidden.sources:
            if source.law is None:
                continue
            leaf = source.leaf
            powers = [degree(copies.nodes, r, lambda i, leaf=leaf: i == leaf) for r in roots]  # type: ignore[misc]
            array = copies.types[copies.nodes[leaf].type].dims
            if max(powers) > 1 or source.law != ("uniform",) or array:
                return None
            ends = [{leaf: constant(copies, leaf, value)} for value in (1.0, 0.0)]
            apart = tuple(
                difference(copies, *(copies.replaced(r, end) for end in ends)) for r in roots
            )
            populations = [p.name for p in model.populations]
            moved = Outputs(apart, outputs.names, outputs.sharp)
            bound = extremes(copies, player, moved, hidden, populations, seconds)
            found[str(copies.nodes[leaf].attr)] = bound.upper
    except Unsupported:
        return None
    return found
