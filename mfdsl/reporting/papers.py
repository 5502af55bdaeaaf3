"""What to cite: the papers of a solver, those that a spec names, and mfdsl itself, as BibTeX.

Authors, years and identifiers are those of the tables of solvers; nothing that these do not say is
added, so that entries of papers whose title is not known here have none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import mfdsl
from mfdsl.compiler.typeset.escape import escape_latex
from mfdsl.reporting.reading import ReadRun

# Where the papers are; what comes after the number is not part of it.
_PLACE = re.compile(r"\b(arXiv|doi)[ :]\s*(10\.\d{4,}/[^\s,;)]+|\d{4}\.\d{4,5})", re.IGNORECASE)
_NAMED = re.compile(r"^(?P<authors>.+?)(?: (?P<year>\d{4}))?$")


@dataclass(frozen=True)
class Paper:
    """One entry: `place` is an arXiv number or a doi; `authors` and `year` are empty if unknown."""

    place: str
    authors: str = ""
    year: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        """The name of the entry."""
        first = re.split(r",| and | et al", self.authors)[0] if self.authors else "arxiv"
        letters = normalize("NFKD", first.split(" ")[-1].lower())  # keys of BibTeX are ASCII
        stem = "".join(c for c in letters if c.isascii() and c.isalnum())
        return f"{stem}{self.year or '_' + re.sub(r'[^0-9]', '_', self.place)}"

    def bibtex(self) -> str:
        """The entry."""
        arxiv = not self.place.startswith("10.")
        fields = {
            "author": " and ".join(_people(self.authors)),
            "year": self.year,
            "eprint" if arxiv else "doi": self.place,
            "archivePrefix": "arXiv" if arxiv else "",
            "note": self.note,
        }
        inside = "".join(f"  {name} = {{{text}}},\n" for name, text in fields.items() if text)
        return f"@misc{{{self.key},\n{inside}}}"


def papers_of(reference: str) -> Iterator[Paper]:
    """The papers of a row: `Cui and Koeppl 2021, arXiv 2102.01585; ...`."""
    for part in reference.split(";"):
        found = _PLACE.search(part)
        if found is None:
            raise ValueError(f"`{part}` names no arXiv number and no doi")
        words = part[: found.start()].strip().rstrip(",").split(" of ")[-1]
        named = _NAMED.match(words)
        assert named is not None
        yield Paper(found[2], named["authors"].rstrip(","), named["year"] or "")


def papers_in(doc: str) -> Iterator[Paper]:
    """The papers that the documentation of a spec names, each with the sentence about it."""
    text = " ".join(doc.split())
    for found in _PLACE.finditer(text):
        sentence = re.split(r"[.;] ", text[: found.end()])[-1].removeprefix("Source: ")
        yield Paper(found[2], note=f"of the game: {escape_latex(sentence)}")


def cited(run: ReadRun) -> list[Paper]:
    """The papers of a run, each once."""
    found: dict[str, Paper] = {}
    for paper in (*papers_of(run.row.reference), *papers_in(run.game.model.doc)):
        found.setdefault(paper.place, paper)
    return list(found.values())


def cite(run: str | Path) -> str:
    """BibTeX of the papers behind a run, its game's among them, and of mfdsl.

    Raises:
        CompileError: the spec of the run has errors.
        UsageError: the folder is no run, or is damaged.
    """
    return bibliography(ReadRun.open(Path(run)))


def bibliography(run: ReadRun) -> str:
    """BibTeX of what a run rests on; mfdsl comes last."""
    version = run.versions.get("mfdsl", mfdsl.__version__)
    own = (
        "@software{mfdsl,\n  title = {mfdsl: a modelling language for mean-field games},\n"
        f"  year = {{2026}},\n  version = {{{version}}},\n}}"
    )
    return "\n\n".join([*(paper.bibtex() for paper in cited(run)), own]) + "\n"


def _people(authors: str) -> list[str]:
    """Names one by one; `et al.` are `others`."""
    whole = authors.replace(" et al.", " and others").replace(", ", " and ")
    return [name.strip() for name in whole.split(" and ") if name.strip()]
