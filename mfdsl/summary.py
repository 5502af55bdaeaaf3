"""What a model is, in a line, as JSON, and as a card in Markdown."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.ir.model import Model, Player, Variable
from mfdsl.compiler.ir.text import type_text

NOTHING = 1e-12


def state_count(model: Model, player: Player) -> int | None:
    """Number of states of one agent of a player, None when they are not finite."""
    return _product(model, player.states)


def action_count(model: Model, player: Player) -> int | None:
    """Number of actions of one agent of a player, legal or not, None when they are not finite."""
    return _product(model, player.actions)


def horizon_text(model: Model) -> str:
    """`50`, `infinite (discount 0.99)` or `stationary (discount 0.9)`."""
    horizon = model.horizon
    if horizon.steps is not None:
        return str(horizon.steps)
    return f"{horizon.kind} (discount {model.discount:g})"


def size_text(model: Model, player: Player) -> str:
    """`100 states x 3 actions`; continuous variables by their names."""
    parts = [_sized(model, player.states, "state")]
    if player.actions:
        parts.append(_sized(model, player.actions, "action"))
    if player.traits:
        parts.append(f"{len(player.traits)} trait{_s(len(player.traits))}")
    return " x ".join(part for part in parts if part) or "no states"


def _sized(model: Model, variables: Sequence[Variable], word: str) -> str:
    count = _product(model, variables)
    if not variables:
        return ""
    if count is not None:
        return f"{count:,} {word}{_s(count)}"
    return f"{word}{_s(len(variables))} {', '.join(v.name for v in variables)}"


def sizes_text(model: Model) -> str:
    """The sizes of all players in short: `100 states x 3 actions`, or one by one with names."""
    heads = _heads(model)
    if len(heads) == 1 and heads[0].family is None:
        return size_text(model, heads[0])
    return ", ".join(f"{_family(model, p)} {size_text(model, p)}" for p in heads)


def headline(model: Model) -> str:
    """The model in one line: its name, players, sizes, objective and horizon."""
    shown = [f"{p.kind} {_family(model, p)} ({size_text(model, p)})" for p in _heads(model)]
    return f"{model.name}: {', '.join(shown)}, {model.objective}, horizon {horizon_text(model)}"


def _heads(model: Model) -> list[Player]:
    """The players, of each family the first."""
    seen: set[str] = set()
    heads = []
    for player in model.players:
        key = player.family or player.name
        if key not in seen:
            seen.add(key)
            heads.append(player)
    return heads


def _family(model: Model, player: Player) -> str:
    """`drone`, or `truck[2]` for a family of two."""
    if player.family is None:
        return player.name
    return f"{player.family}[{sum(p.family == player.family for p in model.players)}]"


def model_json(model: Model) -> dict[str, Any]:
    """The `model` entry of `mfdsl check --json`: sizes are None where they are not finite."""
    sizes = [(state_count(model, p), action_count(model, p)) for p in model.players]
    alone = len(model.players) == 1
    return {
        "name": model.name,
        "players": [
            {"kind": p.kind, "name": p.name, "states": s, "actions": a}
            for p, (s, a) in zip(model.players, sizes, strict=True)
        ],
        "states": sizes[0][0] if alone else None,
        "actions": sizes[0][1] if alone else None,
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
    if certificate.claim == "contraction" and certificate.upper is not None:
        parts.append(f"at temperatures above {number_text(certificate.upper)}")
    elif certificate.lower is not None or certificate.upper is not None:
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
    blocks = [f"# {model.name}"]
    blocks += [model.doc] if model.doc else []
    blocks.append(headline(model) + ".")
    for player in _heads(model):
        blocks += _player_blocks(model, player)
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


def _player_blocks(model: Model, player: Player) -> list[str]:
    """The variables and rewards of one player."""
    blocks = [] if len(model.players) == 1 else [f"## {player.kind} {_family(model, player)}"]
    for kind, group in (
        ("state", player.states),
        ("trait", player.traits),
        ("action", player.actions),
    ):
        if group:
            blocks.append(_table(kind, group, model))
    terms = [
        (f"`{term.name}`", "at the end" if term.final else "each step", term.doc)
        for term in player.rewards
    ]
    return [*blocks, _rows(("reward", "paid", ""), terms)] if terms else blocks


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


def _product(model: Model, variables: Iterable[Variable]) -> int | None:
    kinds = [model.types[variable.type] for variable in variables]
    if any(kind.dims or not kind.finite for kind in kinds):
        return None
    return math.prod(kind.size for kind in kinds)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
