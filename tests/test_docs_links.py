"""Pages lead where they say: files and headings that are there, and an index of all pages."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\bdocs/[\w-]+\.md\b")
NAMING = [path for part in ("bench", "mfdsl") for path in (ROOT / part).rglob("*.py")]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page; the second of a name has `-1`."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.DOTALL)
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def faults(page: Path) -> list[str]:
    """The relative links of a page whose file or heading is not there."""
    found = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.skipif(
    not (ROOT / "bench" / "results").is_dir(), reason="pages of bench are elsewhere"
)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page: Path) -> None:
    assert faults(page) == []


def test_pages_that_are_named_are_there() -> None:
    named = {name for path in [*PAGES, *NAMING] for name in NAMED.findall(path.read_text("utf-8"))}
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_the_index_has_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = re.findall(r"^\| \[[^\]]*\]\(([^)#]+)\)", index.read_text(encoding="utf-8"), re.M)
    pages = {page.relative_to(index.parent).as_posix() for page in PAGES[1:]} - {"README.md"}
    assert sorted(listed) == sorted(pages)
