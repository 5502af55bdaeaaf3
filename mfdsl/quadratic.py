"""Which games are linear-quadratic, by the certificates of their players. Imports no torch."""

from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.structure.linear_quadratic import linear_quadratic_form
from mfdsl.compiler.analysis.structure.quadratics import LinearQuadratic
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Node
from mfdsl.compiler.ir.walk import reachable

STATIONARY = (
    "it follows the flow from the law at t = 0, and a stationary horizon has none: write"
    " `horizon infinite` with a discount, or `horizon T`"
)


@dataclass(frozen=True, eq=False)
class Quadratics:
    """The forms of all players, or why there are none: `reason`, and the certificates that say so.

    They hold at the values of the parameters.
    """

    forms: tuple[LinearQuadratic, ...]
    certificates: tuple[Certificate, ...]
    reason: str | None


def quadratics(model: Model) -> Quadratics:
    """The linear-quadratic forms of all players at the values of the parameters."""
    finite = _finite_variable(model)
    if finite is not None:
        return Quadratics((), (), f"{finite} takes finitely many values")
    if model.horizon.kind == "stationary":
        return Quadratics((), (), STATIONARY)
    timed = _timed_expression(model) if model.horizon.kind == "infinite" else None
    if timed is not None:
        return Quadratics((), (), f"{timed} reads t, and without an end matrices stay as they are")
    model = _without_idle_ends(_without_powers_of_zero(model))
    copies, found, forms = Copies(facts_of(model)), [], []
    for player in model.players:
        certificate, form = linear_quadratic_form(model, copies, player)
        found.append(certificate)
        if certificate.verdict != "proved" or form is None:
            detail = certificate.detail or "no form was found"
            said = "refuted" if certificate.verdict == "refuted" else "not proved"
            why = f"`linear_quadratic` of `{player.name}` is {said}: {detail}"
            return Quadratics((), tuple(found), why)
        forms.append(form)
    if not any(player.actions for player in model.players):
        return Quadratics((), tuple(found), "nobody acts")
    return Quadratics(tuple(forms), tuple(found), None)


def _finite_variable(model: Model) -> str | None:
    """A state, trait or action that is no real number: what most games have, found at once."""
    for player in model.players:
        for v in (*player.states, *player.traits, *player.actions):
            if model.types[v.type].kind != "real":
                return f"`{v.name}` of `{player.name}`"
    return None


def _timed_expression(model: Model) -> str | None:
    """A next value or a reward that reads t: one stage stands for all where there is no end."""
    for player in model.players:
        roots = [(f"next `{s.name}`", s.next) for s in player.states]
        roots += [(f"`{term.name}`", term.node) for term in player.rewards if not term.final]
        for name, node in roots:
            if node is not None and any(
                model.nodes[i].op == "time" for i in reachable(model.nodes, [node])
            ):
                return f"{name} of `{player.name}`"
    return None


def _without_powers_of_zero(model: Model) -> Model:
    """The model with 1 for x^0 at the values of the parameters, as of the weights of `flocking`."""
    zero = {p.name for p in model.parameters if p.value == 0}

    def is_zero(node: Node) -> bool:
        return (node.op == "const" and node.attr == 0) or (node.op == "param" and node.attr in zero)

    nodes = tuple(
        node.model_copy(update={"op": "const", "args": (), "attr": 1.0})
        if node.op == "pow" and is_zero(model.nodes[node.args[1]])
        else node
        for node in model.nodes
    )
    return model.model_copy(update={"nodes": nodes})


def _without_idle_ends(model: Model) -> Model:
    """The model without `min` and `max` with a number that never binds, as of uniform noise."""
    evaluator, nodes = Evaluator(facts_of(model), {}), list(model.nodes)
    for index, node in enumerate(model.nodes):
        ends = [a for a in node.args if model.nodes[a].op == "const"]
        if node.op not in ("min", "max") or len(node.args) != 2 or len(ends) != 1:
            continue
        (inner,) = (a for a in node.args if a != ends[0])
        value, end = evaluator.value(inner), evaluator.value(ends[0])
        within = value.hi <= end.lo if node.op == "min" else value.lo >= end.hi
        if bool(np.all(within)):
            nodes[index] = nodes[inner]
    return model.model_copy(update={"nodes": tuple(nodes)})
