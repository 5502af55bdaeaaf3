"""The flags that several verbs share, each written once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class AcceptChoice(StrEnum):
    """How firm a `require` must be."""

    tested = "tested"
    proved = "proved"


class EffortChoice(StrEnum):
    """How long to look for what the spec does not require."""

    none = "none"
    default = "default"
    high = "high"


class DeviceChoice(StrEnum):
    """Where tensors live; `auto` takes a CUDA device when there is one."""

    cpu = "cpu"
    cuda = "cuda"
    auto = "auto"


class ClusterChoice(StrEnum):
    """Who runs the jobs of an array: SLURM, or processes of this machine."""

    slurm = "slurm"
    local = "local"


class DtypeChoice(StrEnum):
    """Floating-point precision of a run."""

    float64 = "float64"
    float32 = "float32"


Spec = Annotated[
    str, typer.Argument(help="A .mfg file, or the name of a shipped game.", show_default=False)
]
OptionalSpec = Annotated[
    str | None,
    typer.Argument(help="A .mfg file, or the name of a shipped game.", show_default=False),
]
Specs = Annotated[
    list[str],
    typer.Argument(help="One or more .mfg files or names of shipped games.", show_default=False),
]
Set = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter (repeatable).")
]
Params = Annotated[
    Path | None, typer.Option("--params", metavar="FILE", help="Parameter values in a TOML file.")
]
ParamFiles = Annotated[
    list[str],
    typer.Option(
        "--params",
        metavar="FILE",
        help="Parameter values in a TOML file; several files, or 'sets/*.toml', are a batch.",
    ),
]
SweepOption = Annotated[
    list[str],
    typer.Option(
        "--sweep",
        metavar="NAME=A:B:N",
        help="Run n values from a to b, or NAME=V1,V2,V3, in one batch (repeatable); NAME is a"
        " parameter, or opt.KEY for an option of the solver.",
    ),
]
Solver = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A solver, or auto: what is proved to work here."),
]
Iterations = Annotated[int | None, typer.Option(min=0, help="Stop after so many.")]
Tolerance = Annotated[
    float | None, typer.Option("--tol", min=0, help="Stop at this exploitability.")
]
SolverOption = Annotated[
    list[str],
    typer.Option("--opt", metavar="KEY=VALUE", help="An option of the solver (repeatable)."),
]
Resume = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Continue the run in this folder.")
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        "--start-at",  # torchrun takes `--start` for the beginning of an option of its own
        metavar="RUN|random",
        help="Begin at the policy of a run, or at one drawn with the seed, not at the uniform one.",
    ),
]
SolverDtype = Annotated[
    DtypeChoice | None,
    typer.Option("--dtype", help="Precision: float64 for tables, float32 for networks."),
]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Write events of training for TensorBoard.")
]
Cluster = Annotated[
    ClusterChoice | None,
    typer.Option("--cluster", help="Solve the batch in an array of jobs, through submitit."),
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Jobs of the array that share the batch.")
]
Sbatch = Annotated[
    list[str],
    typer.Option("--sbatch", metavar="KEY=VALUE", help="A setting of sbatch: time=30."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the array as a script for sbatch, run nothing.")
]
ExplainPlan = Annotated[
    bool,
    typer.Option("--explain-plan", help="Say how the game would be solved and why, run nothing."),
]
Share = Annotated[
    str | None,
    typer.Option("--share", metavar="K/N", help="Only the k-th, from 0, of n shares of the batch."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first run.")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds to run, in one batch.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only, no progress.")]
Out = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder to write into.")
]
Accept = Annotated[
    AcceptChoice, typer.Option("--accept", help="What a `require` needs in order to pass.")
]
Effort = Annotated[
    EffortChoice,
    typer.Option("--effort", help="Work for certificates: none, .8 or 30 counted seconds."),
]
Device = Annotated[DeviceChoice, typer.Option("--device", help="Where to compute.")]
Dtype = Annotated[DtypeChoice, typer.Option("--dtype", help="Precision.")]
