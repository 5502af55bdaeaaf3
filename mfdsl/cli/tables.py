"""Verbs that list: specs, doctor. Only doctor imports torch."""

from typing import Any

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.shipped import shipped_specs
from mfdsl.summary import horizon_text, model_json, sizes_text


def specs(json: options.Json = False) -> int:
    """List the games that come with mfdsl."""
    console = Console(json)
    rows, entries = [], []
    for name, path in shipped_specs().items():
        model = api.load(path).model
        doc = _sentence(model.doc)
        rows.append((name, sizes_text(model), horizon_text(model), doc))
        entries.append(model_json(model) | {"name": name, "doc": doc})
    console.table(("name", "size", "horizon", "what it is"), rows)
    console.json_object({"specs": entries})
    return FINE


def _sentence(doc: str) -> str:
    """The first sentence of a documentation, without its full stop."""
    return " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def doctor(json: options.Json = False) -> int:
    """Print versions, devices and optional parts."""
    from mfdsl.doctor import diagnose

    console = Console(json)
    found = diagnose()
    python = f"Python {found['python']} on {found['platform']}"
    console.result(f"mfdsl {found['mfdsl']}, {python}")
    console.table(("package", "version"), _packages(found["packages"]))
    if found["torch"] is not None:
        console.result(f"devices   {', '.join(found['torch']['devices'])}")
        console.result(f"threads   {found['torch']['threads']}")
    extras = [f"{name} {'yes' if there else 'no'}" for name, there in found["extras"].items()]
    console.result(f"extras    {', '.join(extras)}")
    console.json_object(found)
    return FINE


def _packages(versions: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, version or "missing") for name, version in versions.items()]
