"""Where figures of papers are kept: a page, its numbers and a plot for each script.

`bench/papers/results/NAME.md` starts with the command that writes it; `NAME.json` has every number,
`NAME.svg` the plot (drawn by matplotlib, which only these scripts need: the extra `plots`).
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def commit(
    name: str,
    title: str,
    command: str,
    blocks: Sequence[str],
    numbers: Any,
    draw: Callable[[Any], None],
) -> None:
    """Write the page, the numbers and the plot; `draw` gets the axes of the plot."""
    RESULTS.mkdir(exist_ok=True)
    head = [f"# {title}", "", "```console", f"$ {command}", "```", "", f"![plot]({name}.svg)"]
    (RESULTS / f"{name}.md").write_text("\n\n".join(["\n".join(head), *blocks]) + "\n")
    (RESULTS / f"{name}.json").write_text(json.dumps(numbers, indent=1) + "\n")
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = name  # the same numbers give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    draw(axes)
    figure.savefig(RESULTS / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)
