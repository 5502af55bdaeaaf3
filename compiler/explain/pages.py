"""The pages of `mfdsl explain`: one Markdown file for each code, shipped beside this module."""

from importlib.resources import files

_PACKAGE = "mfdsl.compiler.explain"


def page(code: str) -> str | None:
    """The Markdown text of a code such as "MFG301", or None when there is no such page."""
    if code not in codes_with_pages():
        return None
    return (files(_PACKAGE) / f"{code}.md").read_text(encoding="utf-8")


def codes_with_pages() -> tuple[str, ...]:
    """All codes that have a page, sorted."""
    names = (entry.name for entry in files(_PACKAGE).iterdir())
    return tuple(sorted(name.removesuffix(".md") for name in names if name.endswith(".md")))
