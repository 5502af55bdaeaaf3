"""Which solver brings which game of the peers to a thousandth of where it starts.

`python -m bench.peer_solved [--seconds 2] [--games sis garnet] [--solvers omd]` runs every solver
with tables and its defaults on every finite game of MFGLib, OpenSpiel, Bench-MFG and MFAX until its
exploitability is at most a thousandth of that of the uniform policy, for so many seconds of
computing time, and `--solver auto` as the command line runs it, trials included. Writes the page
and the numbers in `bench/results`.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mfdsl
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.needs import refusal
from mfdsl.runtime.solvers.starts import STARTS, begun as begun_from
from mfdsl.settings import resolve
from mfdsl.solving import prepare, run
from mfdsl.starting import GIVEN, Start

RESULTS = Path(__file__).parent / "results"
GOAL = 1e-3
SOLVERS: Mapping[str, Mapping[str, Any]] = {
    "omd": {},
    "policy_iteration": {},
    "fixed_point": {"damping": 0.9},
    "fictitious_play": {},
    "mirror_prox": {},
    "frank_wolfe": {},
    "prior_descent": {},
    "mf_omo": {},
    "mf_omi": {},
    "mf_pso": {},
    "successive_averages": {},
}
UNMEASURED = {"refused": "not run yet"}
COSTLY = ("mf_omo", "mf_omi", "mf_pso")
MOST_ENTRIES = 1 << 20  # of tables on which these run
MOST_PRODUCTS = 5e9  # of one Newton step of a projection, stages * actions * states^3
MOST_SWARM = 100  # entries of stationary games whose law is found by thousands of pushes
MOST_AUTO = 300.0  # seconds after the trials


@dataclass(frozen=True)
class Case:
    """One game of a peer, the spec that states it, and the points of continuous variables.

    Solvers begin at a policy `drawn` with that seed where the uniform one is an equilibrium.
    """

    peer: str
    spec: str
    params: Mapping[str, Any] = field(default_factory=dict)
    bins: Bins = field(default_factory=Bins)
    drawn: int | None = None

    @property
    def name(self) -> str:
        """The name of the spec with what is changed in it."""
        changes = "".join(f" {key}={value}" for key, value in self.params.items())
        notes = " (cached)" if "openspiel/" in self.spec else ""
        return Path(self.spec).stem + changes + notes + (" (drawn)" if self.drawn else "")


MFGLIB = (
    "left_right rock_paper_scissors mfglib_beach_bar conservative_treasure_hunting "
    "equilibrium_price random_linear sis crowd_motion linear_quadratic building_evacuation"
).split()
OPENSPIEL = (
    "crowd_1d crowd_2d four_rooms openspiel_predator_prey crowd_avoidance lq_ring "
    "periodic_aversion garnet dynamic_routing nfg_coop nfg_dom nfg_biased_rps"
).split()
# What OpenSpiel's tabular code solves in their place: it caches values without the last move.
CACHED = "crowd_1d crowd_2d garnet linear_quadratic periodic_aversion".split()
BENCH_MFG = (
    "no_interaction contraction lasry_lions_chain two_bars stationary_sis kinetic_congestion "
    "mf_garnet"
).split()
EVEN = "rps_stationary four_rooms_obstacles".split()
MFAX = "mfax_beach_bar mfax_linear_quadratic".split()
CASES = (
    *(Case("MFGLib", name) for name in MFGLIB),
    *(Case("OpenSpiel", name) for name in OPENSPIEL),
    Case("OpenSpiel", "crowd_avoidance", {"c_meet": 0}),
    *(Case("OpenSpiel", f"bench/openspiel/{name}.mfg") for name in CACHED),
    *(Case("Bench-MFG", name) for name in BENCH_MFG),
    Case("Bench-MFG", "stationary_sis", {"c_ill": 10}),
    *(Case("Bench-MFG", f"bench/specs/{name}.mfg", drawn=1) for name in EVEN),
    *(Case("MFAX", name) for name in MFAX),
    Case("MFAX", "bench/specs/endogenous_paths.mfg", bins=Bins(20, {"k": 200})),
)


def measured(
    case: Case, seconds: float, only: Sequence[str] | None = None, kept: Any = None
) -> dict[str, Any]:
    """All solvers on one game, and what `auto` takes and reaches; the rest as `kept` if `only`."""
    game = replace(mfdsl.load(case.spec, params=dict(case.params)), bins=case.bins)
    program = game.program
    logits = drawn(program, case.drawn)
    view = build_view(program)
    first = view.uniform() if logits is None else view.policy(logits.softmax(-1))
    start = Evaluation(view, first).exploitability.value
    found: dict[str, Any] = {
        "peer": case.peer,
        "kind": program.kind,
        "sizes": [program.state_count, program.action_count, program.horizon],
        "start": start,
        "seconds": seconds if only is None else kept["seconds"],
        "solvers": {} if only is None else dict(kept["solvers"]),
    }
    entries = program.state_count * program.action_count * (program.horizon or 1)
    for name in SOLVERS if only is None else only:
        options = SOLVERS[name]
        why = refusal(name, program)
        products = entries * program.state_count**2
        if why is None and name in COSTLY and entries > MOST_ENTRIES:
            why = "not run: its tables are too large"
        if why is None and name == "mf_omi" and products > MOST_PRODUCTS:
            why = "not run: its projections are too large"
        if why is None and name == "mf_pso" and wandering(program) and entries > MOST_SWARM:
            why = "not run: the stationary laws of a swarm take too long"
        if why is None and logits is not None and name not in STARTS:
            why = "not run: it does not begin from a policy"
        found["solvers"][name] = (
            {"refused": why} if why else timed(game, name, options, start, seconds, logits)
        )
    found["auto"] = chosen(game, start, logits) if only is None else kept["auto"]
    return found


def wandering(program: Program) -> bool:
    """Whether the law that a policy keeps is found by pushing it on and on."""
    module = program.module
    reads = module.SUCCESSORS_READ | module.WEIGHTS_READ
    return program.kind == "stationary" and "law" in reads


def drawn(program: Program, seed: int | None) -> Tensor | None:
    """Logits [1, 1, S, A] of a policy far from uniform, None without a seed."""
    if seed is None:
        return None
    shape = (1, 1, program.state_count, program.action_count)
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(shape, generator=generator, dtype=torch.float64)


def begun(
    program: Program, solver: str, options: Mapping[str, Any], logits: Tensor | None
) -> dict[str, Tensor] | None:
    """The state of a solver that plays the softmax of the logits, None for the uniform policy."""
    if logits is None:
        return None
    return begun_from(solver, make_solver(solver, options), build_view(program), logits.softmax(-1))


def timed(
    game: Game,
    solver: str,
    options: Mapping[str, Any],
    start: float,
    seconds: float,
    logits: Tensor | None,
) -> dict[str, Any]:
    """Relative exploitability of the last and of the best policy within the seconds."""
    state = begun(game.program, solver, options, logits)
    began = time.process_time()
    solution = solve(
        game.program,
        None,
        solver,
        options,
        iterations=10**9,
        tolerance=GOAL * start,
        patience=None,
        stop=lambda: time.process_time() - began > seconds,
        state=state,
    )
    return summary(solution, start) | {"seconds": time.process_time() - began}


def chosen(game: Game, start: float, logits: Tensor | None) -> dict[str, Any]:
    """The solver that `auto` takes when asked for a thousandth, and what it reaches."""
    began = time.process_time()
    settings = replace(resolve(game.model, "auto", tolerance=GOAL * start), bins=game.bins)
    start_from = None if logits is None else Start(GIVEN, TabularPolicy(logits.softmax(-1)))
    job = prepare(game, settings, sweep={}, start=start_from)
    trials = time.process_time() - began
    solution = run(job, stop=lambda: time.process_time() - began - trials > MOST_AUTO)
    return summary(solution, start) | {
        "solver": job.settings.solver,
        "options": job.settings.config.model_dump(exclude_defaults=True),
        "trials": trials,
        "seconds": time.process_time() - began,
    }


def summary(solution: Solution, start: float) -> dict[str, Any]:
    """What a run came to; a game that starts at an equilibrium is solved."""
    gaps = [record.exploitability for record in solution.history]
    unit = start if start > 0 else 1.0
    return {
        "last": gaps[-1] / unit,
        "best": min(gaps) / unit,
        "iterations": solution.iterations,
        "solved": gaps[-1] <= GOAL * start,
    }


def cell(entry: Mapping[str, Any]) -> str:
    """Seconds where it got there, else what was left at the end."""
    if "refused" in entry:
        return "-"
    return f"{entry['seconds']:.2g} s" if entry["solved"] else f"({entry['last']:.0e})"


def page(numbers: Mapping[str, Any]) -> str:
    """The table of all games."""
    head = ["peer", "game", "S x A, T", "start", "s", *SOLVERS, "auto takes", "auto"]
    rows = []
    for name, found in numbers.items():
        states, actions, horizon = found["sizes"]
        auto = found["auto"]
        rows.append(
            [
                found["peer"],
                name,
                f"{states} x {actions}, {horizon or found['kind']}",
                f"{found['start']:.3g}",
                f"{found['seconds']:g}",
                *(cell(found["solvers"].get(solver, UNMEASURED)) for solver in SOLVERS),
                auto["solver"],
                cell(auto),
            ]
        )
    lines = "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
    return f"""# Games of the peers, solved to a thousandth

```console
$ python -m bench.peer_solved
```

Seconds of computing time on one core until the exploitability of the present policy is at most 1e-3
of that of the uniform policy; in brackets what the last policy had left of it after the seconds in
column `s` (`--games NAME --seconds 60` gives slow games more). `-`: the solver is not defined
there, or not run: `mf_omo`, `mf_omi` and `mf_pso` on tables of more than a million entries,
`mf_omi` also where one step of its projection needs more than 5e9 products, `mf_pso` on
`kinetic_congestion`, where a stationary law takes thousands of pushes for each particle. All with
their defaults, `fixed_point` with `damping = 0.9`. `auto` is `mfdsl solve SPEC --solver auto --tol`
a thousandth of the start, its trials included. Columns are of different days (`--solvers`): that of
`mf_omo` is of 2026-11-22, with loops that were compiled before. `mf_pso` shows the best
policy that it met.
`endogenous_paths` has one path of productivity, and wealth on 200 points. `(cached)`: the game that
OpenSpiel's tabular code solves in the place of the one it states (docs/peers.md). `(drawn)`:
Bench-MFG's `rock_paper_scissors` and `four_rooms_obstacles` are at an equilibrium under the uniform
policy, so solvers begin at a policy drawn with seed 1 (as with `--start`), a thousandth is one of
its exploitability, and only those run that begin anywhere. OpenSpiel's `sioux_falls` (241,056
states x 6 legal links x 81 stages) has no row: an iteration takes .4 s. `mfdsl solve sioux_falls`
takes `successive_averages`, at 9.98e-4 of the start after 272 iterations and 107 s, at 5.8e-4 after
10 and 20 minutes (`python -m bench.minutes sioux_falls 5 10 20`); `python -m
bench.sioux_falls` makes the same iterations by a program for this game alone.

{conclusion(numbers)}

{lines}
"""


def conclusion(numbers: Mapping[str, Any]) -> str:
    """How many games somebody solves, how many auto does, and what is left."""
    open_games = [
        name
        for name, found in numbers.items()
        if not any(entry.get("solved") for entry in found["solvers"].values())
    ]
    missed = [name for name, found in numbers.items() if not found["auto"]["solved"]]
    text = (
        f"{len(numbers)} games: {len(numbers) - len(open_games)} are solved by a solver named "
        f"above within its time, {len(numbers) - len(missed)} by `auto`."
    )
    if open_games:
        text += f" By no named solver in that time: {', '.join(open_games)}."
    if missed:
        text += f" Not by `auto`: {', '.join(missed)}."
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the games and write the page; named games are measured anew among those that are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each solver and game")
    parser.add_argument("--games", nargs="*", default=None, help="only these")
    parser.add_argument(
        "--solvers", nargs="*", choices=SOLVERS, help="only these; the rest as measured before"
    )
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kept = RESULTS / "peer_solved.json"
    partly = given.games is not None or given.solvers is not None
    numbers = json.loads(kept.read_text()) if partly and kept.exists() else {}
    for case in CASES:
        if given.games is not None and case.name not in given.games:
            continue
        try:
            before = numbers.get(case.name)
            only = None if before is None else given.solvers
            numbers[case.name] = measured(case, given.seconds, only, before)
        except UsageError as error:
            print(f"{case.name}: {error}", flush=True)
            continue
        print(case.name, numbers[case.name]["solvers" if only else "auto"], flush=True)
        write({c.name: numbers[c.name] for c in CASES if c.name in numbers})


def write(numbers: Mapping[str, Any]) -> None:
    """The numbers and the page."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peer_solved.json").write_text(json.dumps(numbers, indent=1) + "\n")
    (RESULTS / "peer_solved.md").write_text(page(numbers))


if __name__ == "__main__":
    main()
