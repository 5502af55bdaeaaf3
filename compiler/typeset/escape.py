"""Text made harmless for LaTeX, Markdown, Mermaid and Graphviz."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def plain(text: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(c, c) for c in plain(text))


def escape_markdown(text: str) -> str:
    """Text that Markdown prints as it is, also in a table."""
    safe = plain(text)
    for mark in "\\`*_{}[]<>|$#":
        safe = safe.replace(mark, f"\\{mark}")
    return safe


def escape_diagram(text: str) -> str:
    """Text inside the quotes of a label of Mermaid."""
    safe = plain(text).replace("&", "&amp;").replace('"', "&quot;")
    return safe.replace("<", "&lt;").replace(">", "&gt;").replace("#", "&#35;")


def escape_dot(text: str) -> str:
    """Text inside the quotes of a label of Graphviz."""
    return plain(text).replace("\\", "\\\\").replace('"', '\\"')
