"""Derivatives for people: text and LaTeX of the slope of a term by a leaf or a mean."""

from dataclasses import dataclass

from mfdsl.compiler.analysis.symbolic import gateway
from mfdsl.compiler.analysis.symbolic.differentiation import partial
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError, program
from mfdsl.compiler.analysis.symbolic.naming import names
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError
from mfdsl.compiler.ir.build import TooManyNodes


@dataclass(frozen=True, slots=True)
class Shown:
    """A term as text and LaTeX; `where` lists letters that stand for long parts, with those."""

    text: str
    latex: str
    where: tuple[tuple[str, str], ...] = ()


def derivative(
    terms: Terms, root: int, name: int, *, seconds: float = gateway.SECONDS
) -> Shown | None:
    """The slope of `root` by the leaf or mean `name`, None where there is nothing to show.

    It is the slope wherever there is one; kinks show as choices, jumps do not show.
    """
    try:
        return shown(terms, partial(terms, root, name), seconds=seconds)
    except (UnsupportedError, TooManyNodes):
        return None


def shown(terms: Terms, root: int, *, seconds: float = gateway.SECONDS) -> Shown | None:
    """A term in the shortest form that sympy finds in time, None where it finds none."""
    try:
        job = program(terms, (root,))
    except TooLargeError:
        return None
    labels = names(terms, job.symbols)
    answer = gateway.ask("show", job, names=[(n.text, n.latex) for n in labels], seconds=seconds)
    if answer.value is None:
        return None
    where = tuple((n.text, n.meaning) for n in labels if n.meaning is not None)
    return Shown(answer.value["text"], answer.value["latex"], where)
