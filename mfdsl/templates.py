"""Commented specs to start from: the work of `mfdsl new`."""

from importlib.resources import files

TEMPLATES = ("beach", "epidemic", "matrix", "walk")


def fill(template: str, name: str) -> str:
    """The template with `name` as the name of its model."""
    text = (files("mfdsl.specs") / "templates" / f"{template}.mfg").read_text(encoding="utf-8")
    return text.replace(f"\nmodel {template}\n", f"\nmodel {name}\n", 1)
