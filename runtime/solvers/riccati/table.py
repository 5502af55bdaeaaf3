"""The table of exact solvers of continuous games. It never imports torch."""

from dataclasses import dataclass

from pydantic import Field

from mfdsl.runtime.solvers.config import Config

RICCATI = "riccati"


class RiccatiConfig(Config):
    """Options of riccati."""

    agents: int = Field(
        0,
        ge=0,
        description="number of agents of the costs and gains among finitely many; 0: that of the"
        " spec",
    )


@dataclass(frozen=True)
class ExactRow:
    """One solver of games without tables: what it does, needs, and where it is from."""

    name: str
    config: type[Config]
    summary: str
    requires: str
    reference: str
    iterations: int = 1


EXACT: dict[str, ExactRow] = {
    row.name: row
    for row in (
        ExactRow(
            RICCATI,
            RiccatiConfig,
            "Riccati equations: affine policies of linear-quadratic games, teams and majors, exact",
            "`linear_quadratic` proved of every player",
            "Bensoussan, Sung, Yam and Yung 2016, arXiv 1404.5741",
        ),
    )
}
