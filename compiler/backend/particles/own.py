"""Pairs of an agent with itself, which sums and extremes over the others leave out."""

from collections.abc import Sequence
from dataclasses import replace

from mfdsl.compiler.backend.particles.axes import OWN, place, union
from mfdsl.compiler.backend.torch_text import ADD, ATOM, COMPARE, MUL, UNARY, Text, call, lift

NOTHING_REAL = {"sum": "0.0", "min": "torch.inf", "max": "-torch.inf"}
NOTHING_WHOLE = {"sum": "0", "min": "2**62", "max": "-(2**62)"}


def on_diagonal(texts: Sequence[Text], axis: int) -> bool:
    """Whether all texts are tensors with an entry for each agent and member, at `axis`."""
    return all(OWN in text.axes and axis in text.axes for text in texts)


def written_over(text: Text, axis: int, how: str, kind: str, first: str) -> Text:
    """The value with nothing on the diagonal, where the member is the agent itself.

    A choice for each pair costs as much as several operations on it, the diagonal costs nothing.
    `first` is the name of the number of the first member in the block.
    """
    code = text.code if _fresh(text) else f"{text.at(ATOM)}.clone()"
    places = f"{place(text, OWN)}, {place(text, axis)}"
    code = call("_but_own", code, _nothing(how, kind), first, places)
    return replace(text, code=code, level=ATOM, minus=None)


def _fresh(text: Text) -> bool:
    """Whether a text makes a tensor that nobody else has and that no gradient reads again."""
    return text.level in (COMPARE, ADD, MUL, UNARY) or text.code.endswith(".to(p.unit)")


def masked(text: Text, mask: Text, how: str, kind: str) -> Text:
    """The value where a member is somebody else, chosen pair by pair."""
    axes = union([text, mask])
    code = call("torch.where", lift(mask, axes).code, lift(text, axes).code, _nothing(how, kind))
    return Text(code, ATOM, axes)


def _nothing(how: str, kind: str) -> str:
    """What changes neither a sum nor an extreme."""
    return (NOTHING_REAL if kind == "real" else NOTHING_WHOLE)[how]
