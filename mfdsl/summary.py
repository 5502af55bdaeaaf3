"""What a model is, in a line, as JSON, and as a card in Markdown."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.ir.model import Model, Variable
from mfdsl.compiler.ir.text import type_text

NOTHING = 1e-12


def state_count(model: Model) -> int:
    """Number of states of one agent."""
    return _product(model, model.population.states)


def action_count(model: Model) -> int:
    """Number of actions of one agent, legal or not."""
    return _product(model, model.population.actions)


def horizon_text(model: Model) -> str:
    """`50`, `infinite (discount 0.99)` or `stationary (discount 0.9)`."""
    horizon = model.horizon
    if horizon.steps is not None:
        return str(horizon.steps)
    return f"{horizon.kind} (discount {model.discount:g})"


def size_text(model: Model) -> str:
    """`100 states x 3 actions`."""
    states, actions = state_count(model), action_count(model)
    return f"{states:,} state{_s(states)} x {actions:,} action{_s(actions)}"


def headline(model: Model) -> str:
    """The model in one line: its name, population, sizes, objective and horizon."""
    return (
        f"{model.name}: population {model.population.name} ({size_text(model)}), "
        f"{model.objective}, horizon {horizon_text(model)}"
    )


def model_json(model: Model) -> dict[str, Any]:
    """The `model` entry of `mfdsl check --json`."""
    return {
        "name": model.name,
        "players": [{"kind": "population", "name": model.population.name}],
        "states": state_count(model),
        "actions": action_count(model),
        "horizon": model.horizon.steps if model.horizon.steps is not None else model.horizon.kind,
        "discount": model.discount,
        "objective": model.objective,
    }


def number_text(value: float) -> str:
    """A number to six digits; what outward rounding left beside 0 is shown as 0."""
    return f"{value:g}" if abs(value) > NOTHING else "0"


def interval_text(lower: float | None, upper: float | None) -> str:
    """`in [-1, 0]`, an unknown or infinite end as `-inf` or `inf`; `= 1` when both agree."""
    if lower is not None and lower == upper:
        return f"= {number_text(lower)}"
    if lower is not None and upper is not None and number_text(lower) == number_text(upper):
        return f"= {number_text(lower)} within {upper - lower:.0e}"
    low = -math.inf if lower is None else lower
    high = math.inf if upper is None else upper
    return f"in [{number_text(low)}, {number_text(high)}]"


def certificate_text(certificate: Certificate) -> str:
    """Subject, bounds and norm of a certificate in words, without its claim and verdict."""
    parts = [certificate.subject]
    if certificate.source is not None:
        parts.append(f"in {certificate.source}")
    if certificate.lower is not None or certificate.upper is not None:
        parts.append(interval_text(certificate.lower, certificate.upper))
    if certificate.norm is not None:
        parts.append(f"({certificate.norm})")
    return " ".join(parts)


def certificates_line(certificates: Iterable[Certificate]) -> str:
    """All certificates in one line, ranges with their bounds, the others by their claim."""
    texts = [
        f"{certificate_text(c) if c.claim == 'range' else c.claim} {c.verdict}"
        for c in certificates
    ]
    return " · ".join(dict.fromkeys(texts)) or "no certificates"


def model_card(model: Model, certificates: Sequence[Certificate] = ()) -> str:
    """The model as Markdown: what it is, its variables, rewards, parameters and certificates."""
    population = model.population
    blocks = [f"# {model.name}"]
    blocks += [model.doc] if model.doc else []
    blocks.append(headline(model) + ".")
    blocks.append(_table("state", population.states, model))
    blocks.append(_table("action", population.actions, model))
    terms = [
        (f"`{term.name}`", "at the end" if term.final else "each step", term.doc)
        for term in population.rewards
    ]
    blocks.append(_rows(("reward", "paid", ""), terms))
    if model.parameters:
        parameters = [
            (f"`{p.name}`", type_text(model.types[p.type]), _value_text(p.value), p.doc)
            for p in model.parameters
        ]
        blocks.append(_rows(("parameter", "type", "value", ""), parameters))
    if certificates:
        claims = dict.fromkeys((c.claim, certificate_text(c), c.verdict) for c in certificates)
        blocks.append(_rows(("claim", "", "verdict"), claims))
    return "\n\n".join(blocks) + "\n"


def _table(kind: str, variables: Iterable[Variable], model: Model) -> str:
    rows = [(f"`{v.name}`", type_text(model.types[v.type]), v.doc) for v in variables]
    return _rows((kind, "type", ""), rows)


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [tuple(header), tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _value_text(value: float | tuple[float, ...]) -> str:
    if not isinstance(value, tuple):
        return f"{value:g}"
    shown = ", ".join(f"{v:g}" for v in value[:6])
    return f"{shown}, ... ({len(value)} values)" if len(value) > 6 else shown


def _product(model: Model, variables: Iterable[Variable]) -> int:
    return math.prod(model.types[variable.type].size for variable in variables)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
