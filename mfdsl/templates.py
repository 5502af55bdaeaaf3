"""Specs to start from, commented ones and the shipped games: the work of `mfdsl new`."""

import re
from importlib.resources import files
from pathlib import Path

from mfdsl.errors import UsageError, unknown
from mfdsl.shipped import shipped_specs

TEMPLATES = ("beach", "epidemic", "matrix", "walk")
_QUOTED = re.compile(r'"([^"\n]+)"')


def fill(template: str, name: str) -> str:
    """The template, or the shipped game, with `name` as the name of its model.

    Raises:
        UsageError: there is no such template, or the game reads files that lie beside it.
    """
    path = _path(template)
    text = path.read_text(encoding="utf-8")
    beside = [found for found in _QUOTED.findall(text) if (path.parent / found).is_file()]
    if beside:
        raise UsageError(
            f"{template} reads `{beside[0]}`, which would not be there",
            f"copy both from {path.parent}",
        )
    return text.replace(f"\nmodel {template}\n", f"\nmodel {name}\n", 1)


def _path(template: str) -> Path:
    if template in TEMPLATES:
        return Path(str(files("mfdsl.specs"))) / "templates" / f"{template}.mfg"
    shipped = shipped_specs()
    if template not in shipped:
        raise unknown("template", template, [*TEMPLATES, *shipped])
    return shipped[template]
