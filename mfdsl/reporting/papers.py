"""What to cite: the papers of a solver, of what it rests on, those that a spec names, and mfdsl.

A spec names papers in the comment above `model`, as `Source: Authors, "Title", where and when,
arXiv:number; ...`. Titles that it does not give are those of `library.py`; nothing is added that
neither says, so that an entry whose title is not known has none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unicodedata import normalize

import mfdsl
from mfdsl.compiler.typeset.escape import escape_latex
from mfdsl.reporting.library import CLAIMS, TITLES
from mfdsl.reporting.reading import ReadRun
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.runtime.solvers.table import SOLVERS

# Where the papers are; what comes after the number is not part of it.
_PLACE = re.compile(r"\b(arXiv|doi)[ :]\s*(10\.\d{4,}/[^\s,;)]+|\d{4}\.\d{4,5})", re.IGNORECASE)
_NAMED = re.compile(r"^(?P<authors>.+?)(?: (?P<year>\d{4}))?$")
_NAME = r"(?!After )(?:[A-Z][\w'’-]+(?: (?=[A-Z]))?)+"
_LIST = rf"{_NAME}(?:, {_NAME})*(?:,? and (?:others|{_NAME}))?"
_WHERE = r'(?=,? ?(?P<where>[^;"]*?)(?:;|"|\. |\.?$))'  # seen, not taken: others may follow
_QUOTED = re.compile(rf'(?P<authors>{_LIST}), "(?P<title>[^"]+)"{_WHERE}')
_LISTED = re.compile(rf'(?P<authors>{_LIST}), [^;"]*$')
_YEAR = re.compile(r"\b(?:19|20)\d{2}\b")


@dataclass(frozen=True)
class Paper:
    """One entry: `place` is an arXiv number or a doi; what is not known is empty."""

    place: str
    authors: str = ""
    year: str = ""
    note: str = ""
    title: str = ""

    @property
    def key(self) -> str:
        """The name of the entry."""
        first = re.split(r",| and | et al", self.authors)[0] if self.authors else "arxiv"
        letters = normalize("NFKD", first.split(" ")[-1].lower())  # keys of BibTeX are ASCII
        stem = "".join(c for c in letters if c.isascii() and c.isalnum())
        return f"{stem}{self.year or '_' + re.sub(r'[^0-9]', '_', self.place)}"

    def bibtex(self, suffix: str = "") -> str:
        """The entry, its name with a suffix."""
        arxiv = not self.place.startswith("10.")
        fields = {
            "author": " and ".join(_people(self.authors)),
            "title": escape_latex(TITLES.get(self.place, self.title)),
            "year": self.year,
            "eprint" if arxiv else "doi": self.place,
            "archivePrefix": "arXiv" if arxiv and self.place else "",
            "note": self.note,
        }
        inside = "".join(f"  {name} = {{{text}}},\n" for name, text in fields.items() if text)
        return f"@misc{{{self.key}{suffix},\n{inside}}}"


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
    """The papers that the documentation of a spec names, each with the words about it."""
    text = " ".join(doc.split())
    source = re.split(r" Facts?\b", text.partition("Source: ")[2])[0]
    told: set[str] = set()
    for found in _QUOTED.finditer(source):
        place = _PLACE.search(found["where"])
        where = found["where"][: place.end()] if place else found["where"]
        number = place[2] if place else ""
        told.add(number)
        year, note = _year(where, number), f"of the game: {escape_latex(where)}"
        yield Paper(number, found["authors"], year, note, found["title"])
    for found in _PLACE.finditer(text):
        if found[2] in told:
            continue
        sentence = re.split(r"[.;] ", text[: found.end()])[-1].removeprefix("Source: ")
        named = _LISTED.search(sentence)
        note = f"of the game: {escape_latex(sentence)}"
        authors = named["authors"] if named else _authors().get(found[2], "")
        yield Paper(found[2], authors, _year(sentence, found[2]), note)


def _year(words: str, place: str) -> str:
    """The last year that is named beside a number, else that in which arXiv gave the number."""
    years = _YEAR.findall(_PLACE.sub("", words))
    return years[-1] if years else f"20{place[:2]}" if place[4:5] == "." else ""


@cache
def _authors() -> dict[str, str]:
    """Who wrote the papers of the tables of solvers, by their places."""
    references = [
        *(row.reference for row in SOLVERS.values()),
        *(row.reference for row in LEARNERS.values()),
        *(row.reference for row in EXACT.values()),
    ]
    return {paper.place: paper.authors for r in references for paper in papers_of(r)}


def papers_of_claims(run: ReadRun) -> Iterator[Paper]:
    """The papers of what was proved or refuted of the game and decides on its solver."""
    words = (run.summary.get("license") or {}).get("property", "")
    for claim, reference in CLAIMS.items():
        if re.search(rf"\b{claim}", words):
            for paper in papers_of(reference):
                yield replace(paper, note=f"of the claim: {claim}")


def cited(run: ReadRun) -> list[Paper]:
    """The papers of a run, each once."""
    found: dict[str, Paper] = {}
    own = (*papers_of(run.row.reference), *papers_of_claims(run))
    for paper in (*own, *papers_in(run.game.model.doc)):
        found.setdefault(paper.place or paper.title, paper)
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
    entries = []
    taken: dict[str, int] = {}
    for paper in cited(run):  # a second `cui2021` is `cui2021b`
        count = taken[paper.key] = taken.get(paper.key, 0) + 1
        entries.append(paper.bibtex("" if count == 1 else chr(ord("a") + count - 1)))
    return "\n\n".join([*entries, own]) + "\n"


def _people(authors: str) -> list[str]:
    """Names one by one; `et al.` are `others`."""
    whole = authors.replace(" et al.", " and others").replace(", ", " and ")
    return [name.strip() for name in whole.split(" and ") if name.strip()]
