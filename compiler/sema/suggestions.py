"""Helps with edits: the nearest name, the name another language uses, and text put around a value.

A help that is marked applicable here is a proposal; the driver keeps the mark only when the edited
text compiles further than before.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.nearest import distance, nearest

FOREIGN_NAMES = MappingProxyType(
    {
        "True": "true",
        "False": "false",
        "PI": "pi",
        "ln": "log",
        "mod": "rem",
        "indicator": "ind",
        "average": "mean",
        "avg": "mean",
        "expectation": "mean",
        "E": "mean",
        "probability": "prob",
        "Pr": "prob",
        "fraction": "prob",
        "share": "prob",
        "proportion": "prob",
        "gaussian": "normal",
        "Gaussian": "normal",
        "Normal": "normal",
        "Uniform": "uniform",
        "Bernoulli": "bernoulli",
        "Poisson": "poisson",
        "clamp": "clip",
        "maximum": "max",
        "minimum": "min",
    }
)
_LAWS = "`mix { 0.4 -> this, else -> that }`, or `choose(y in S, weight = w(y))`"
# What a name of another language means, where no single name here does.
FOREIGN_IDIOMS = MappingProxyType(
    {
        **dict.fromkeys(
            ("inf", "infinity", "Inf"),
            "`horizon infinite` goes with `discount`; expressions are finite",
        ),
        "e": "`exp(x)` is e to the power of x",
        "mu": "`population p as mu` names the law of `p`",
        "N": "the normal law is `normal(0, std = 1)`; the number of agents is no value",
        "self": "own values stand alone: `x`, not `self.x`",
        **dict.fromkeys(
            ("categorical", "Categorical", "discrete", "multinomial"),
            f"a law of single values is written {_LAWS}",
        ),
        **dict.fromkeys(("randint", "randrange"), "all integers alike are `uniform(lo..hi)`"),
    }
)
FOREIGN_OBJECTIVES = MappingProxyType(
    {
        **dict.fromkeys(("mfg", "game", "selfish", "equilibrium", "competitive"), "nash"),
        **dict.fromkeys(("mfc", "control", "social", "cooperative", "planner"), "team"),
    }
)
FOREIGN_TYPES = MappingProxyType(
    {
        "float": "real",
        "double": "real",
        "number": "real",
        "integer": "int",
        "Int": "int",
        "Real": "real",
        "boolean": "bool",
        "Bool": "bool",
    }
)


def did_you_mean(
    word: str, candidates: Iterable[str], spans: Sequence[Span], where: str = ""
) -> list[Help]:
    """The help that puts the nearest candidate at every place, if one is near.

    It is applicable when no other candidate is as near.
    """
    known = list(dict.fromkeys(candidates))
    guess = nearest(word, known)
    if guess is None:
        return []
    limit = distance(word, guess)
    rivals = [k for k in known if k not in (guess, word) and distance(word, k) <= limit]
    return [renamed(guess, spans, where, applicable=not rivals)]


def renamed(name: str, spans: Sequence[Span], where: str = "", *, applicable: bool) -> Help:
    """The help that puts `name` at every place."""
    edits = tuple(Edit(span, name) for span in spans)
    return Help(f"did you mean `{name}`{where}?", edits, applicable)


def foreign(table: Mapping[str, str], word: str, span: Span) -> list[Help]:
    """What a word of another language is called here."""
    ours = table.get(word)
    if ours is None:
        return []
    return [Help(f"it is called `{ours}` here", (Edit(span, ours),), applicable=True)]


def around(span: Span, before: str, after: str, text: str, *, applicable: bool = True) -> Help:
    """The help that puts `before` and `after` around a value.

    It is not applicable where it changes what the model means: that is for the author to decide.
    """
    opening = Edit(Span(span.file, span.start, span.start), before)
    closing = Edit(Span(span.file, span.end, span.end), after)
    return Help(text, (opening, closing), applicable)


def insertion(span: Span, text: str, words: str) -> Help:
    """The help that adds `text` after `span`."""
    return Help(words, (Edit(Span(span.file, span.end, span.end), text),), applicable=True)


def between(left: Span, right: Span, text: str, words: str) -> Help:
    """The help that replaces everything between two places."""
    return Help(words, (Edit(Span(left.file, left.end, right.start), text),), applicable=True)


def as_range_of_two(call: ast.Call) -> list[Help]:
    """The help that turns `uniform(lo, hi)` into `uniform(lo..hi)`."""
    if len(call.arguments) != 2:
        return []
    lo, hi = call.arguments
    return [between(lo.span, hi.span, "..", "a range of integers has two points")]


def as_interval_of_two(call: ast.Call) -> list[Help]:
    """The help that turns `uniform(lo, hi)` into `uniform([lo, hi])`."""
    if len(call.arguments) != 2:
        return []
    first, last = call.arguments
    place = first.span.to(last.span)
    return [around(place, "[", "]", "an interval of reals has brackets")]


def as_range(interval: ast.Vector) -> Help:
    """The help that turns `[lo, hi]` into `lo..hi`."""
    lo, hi = interval.items
    return Help(
        "a range of integers has two points",
        (
            Edit(Span(interval.span.file, interval.span.start, lo.span.start), ""),
            Edit(Span(interval.span.file, lo.span.end, hi.span.start), ".."),
            Edit(Span(interval.span.file, hi.span.end, interval.span.end), ""),
        ),
        applicable=True,
    )


def as_interval(bounds: ast.Range) -> Help:
    """The help that turns `lo..hi` into `[lo, hi]`."""
    file, lo, hi = bounds.span.file, bounds.lo.span, bounds.hi.span
    return Help(
        "an interval of reals has brackets",
        (
            Edit(Span(file, lo.start, lo.start), "["),
            Edit(Span(file, lo.end, hi.start), ", "),
            Edit(Span(file, hi.end, hi.end), "]"),
        ),
        applicable=True,
    )
