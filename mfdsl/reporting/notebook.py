"""A game as a notebook shows it: sizes, and behind clicks formulas, parameters and proofs."""

from html import escape

from mfdsl.compiler.driver import Compilation
from mfdsl.compiler.typeset.blocks import Formulas, Heading, Table
from mfdsl.compiler.typeset.report import report_blocks
from mfdsl.reporting.html import folded, paragraph, table
from mfdsl.reporting.report import block_html
from mfdsl.summary import certificate_text, headline


def game_html(game: Compilation) -> str:
    """A checked spec in a few lines, its formulas and tables folded away."""
    model, unit = game.require_model(), game.unit
    assert unit is not None
    blocks = report_blocks(unit, model)[1:]
    parts = [block_html(b) for b in blocks if isinstance(b, Heading | Formulas | Table)]
    rows = dict.fromkeys(
        (escape(c.claim), escape(certificate_text(c)), c.verdict) for c in game.certificates
    )
    return "".join(
        (
            f"<div><b>{escape(model.name)}</b>",
            paragraph(headline(model)),
            folded("the game", "".join(parts), opened=False),
            folded("what is proved", table(("claim", "", "verdict"), list(rows)), opened=False),
            "</div>",
        )
    )
