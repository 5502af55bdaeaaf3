"""The values that a policy was learned from, beside exact ones, and what is proved about them.

For runs of `symm_pmd` on one population. Games are played once more with the policy that plays, the
values of its agents are estimated as in training, and the tables say what they should have been:
that is an estimate of the error. Bounds are those of `runtime/finite_population/sampled_values.py`;
where their proofs need what is not known of the game or of the run, that is said in their place.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mfdsl.findings import FREE, findings
from mfdsl.records import explained, job_of_run, open_run, read_options
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.finite_population.sampled_values import (
    Moduli,
    divergence_bound,
    gain_bound,
    sample_error,
    value_bias,
)
from mfdsl.runtime.simulator import SimulationError
from mfdsl.runtime.solvers.episodes import Episodes, play
from mfdsl.runtime.solvers.followed import shared
from mfdsl.runtime.solvers.sampled_options import SymmetricMirrorDescentConfig
from mfdsl.runtime.solvers.sampled_values import averaged_values
from mfdsl.runtime.solvers.soft import entropy, entropy_q_values
from mfdsl.runtime.solvers.symmetric_mirror_descent import first_agent
from mfdsl.solving import Job, crowd_of
from mfdsl.structural import with_structure
from mfdsl.validating.certified import Among, FinitePopulation
from mfdsl.validating.outcome import Row, Trial, Verdict

NAME = "learned values"
SOLVER = "symm_pmd"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Judged:
    """One more round of games of N agents, with the policy that plays after so many iterations.

    `error` is the root mean square distance of learned from exact values over all visits, `largest`
    the largest one, `square` the sum over stages of mean squared spans of errors. `visits`
    [H, S, A] are those of the first agent; `spans` [H + 1] are of the exact values of the stages
    and the end, `learned_spans` of its own.
    """

    iterations: int
    players: int
    games: int
    error: float
    largest: float
    square: float
    visits: np.ndarray
    spans: np.ndarray
    learned_spans: np.ndarray


def was_played(trial: Trial) -> bool:
    """Whether the policy is of a run that learned values from games of N agents together."""
    return trial.run is not None and read_options(open_run(trial.run)).solver == SOLVER


def learned_values_row(trial: Trial, report: FinitePopulation | None) -> Row:
    """How far learned values are from exact ones: measured, and bounded where that is proved."""
    if trial.run is None or not was_played(trial):
        return Row(NAME, "not applicable", f"the run is none of {SOLVER}")
    players = trial.game.model.players
    if len([p for p in players if p.actions]) != 1 or players[0].kind != "population":
        return Row(NAME, "not applicable", "the bounds speak of one population alone")
    folder = open_run(trial.run)
    job = job_of_run(trial.game, folder, read_options(folder), device="cpu")
    config = job.settings.config
    assert isinstance(config, SymmetricMirrorDescentConfig)
    try:
        judged = judged_values(job, config, trial.run)
    except SimulationError as error:
        return Row(NAME, "not applicable", str(error))
    lines = [
        f"estimated: values of {judged.games} games of {judged.players:,} are {judged.error:.3g}"
        f" from exact ones in the root mean square over visits, {judged.largest:.3g} at most"
    ]
    figures = {"error": judged.error, "largest": judged.largest, "games": judged.games}
    if report is None:
        lines.append("bounds: none, since nothing is certified among finitely many players")
        return Row(NAME, "passed", lines[0], figures, table=_text(lines[1:]))
    among = report.players[0]
    cap = among.sizes[0].cap
    bias = _bias(judged, among, trial.game.model.discount)
    samples = sample_error(
        judged.visits, judged.learned_spans, cap / report.steps, trial.game.model.discount
    )[0]
    figures |= {"bias": bias, "sampling": float(samples), "cap": cap}
    lines += [
        f"bound: what one agent of {judged.players:,} sees is at most {_shown(bias, cap)} from the"
        " induced game in the root mean square (beta, alpha, and N)",
        f"bound, in {CONFIDENCE:.0%} of cases: means over one agent's {judged.games} games are at"
        f" most {_shown(float(samples), cap)} from that",
        _rate(job, config, judged, among, figures),
    ]
    lines.append("theorems A and B along the policy: see `bound among N`")
    # means of n values in [0, cap] are some cap / sqrt(n) away, at each of the stages to come
    entries, all_visits = judged.visits.size, judged.games * judged.players * report.steps
    noise = report.steps * cap * math.sqrt(entries / all_visits)
    verdict: Verdict = "passed" if judged.error <= bias + noise else "failed"
    return Row(NAME, verdict, lines[0], figures, table=_text(lines[1:]))


def judged_values(job: Job, config: SymmetricMirrorDescentConfig, run: Path) -> Judged:
    """Play once more, and compare what is learned with the tables.

    Raises:
        SimulationError: the machine has too little memory.
    """
    folder = open_run(run)
    with explained():
        state = folder.state()
    played = state["played"].double()
    crowd = crowd_of(job)
    assert crowd is not None
    simulator = crowd.simulator(config.games, config.agents or None)
    number = int(state["iteration"]) + 1
    episodes = play(crowd, simulator, shared(played[0]), number)
    view = build_view(job.game.program, job.game.program.params())
    policy = view.policy(played)
    exact = entropy_q_values(view, view.flow(policy), policy, config.temperature)
    discount, groups = crowd.program.discount, torch.zeros(episodes.places.shape[2]).long()

    def estimated(of: Episodes, zeros: Tensor) -> tuple[Tensor, Tensor]:
        found = averaged_values(
            of,
            played,
            zeros,
            torch.zeros_like(played),
            temperature=config.temperature,
            discount=discount,
        )
        return found.q[0], found.visits[0]

    q, visits = estimated(episodes, groups)
    own, own_visits = estimated(first_agent(episodes), groups[:1])
    seen = visits > 0
    apart = torch.where(seen, q - exact[0], 0.0)
    square = (visits * apart**2).sum() / visits.sum()
    share = visits.sum(-1) / visits.sum((-1, -2), keepdim=True)[..., 0]
    spread = apart.amax(-1) - apart.amin(-1)
    bonus = config.temperature * entropy(played)[0, ..., 0]
    legal = torch.where(exact[0].isfinite(), exact[0], 0.0)
    value, own_value = ((played[0] * x).sum(-1) + bonus for x in (legal, own))
    return Judged(
        int(state["iteration"]),
        simulator.agents[crowd.acting[0]],
        config.games,
        float(square.sqrt()),
        float(apart.abs().max()),
        float((share * spread**2).sum()),
        own_visits.numpy(),
        _spans(value, episodes.final),
        _spans(own_value, episodes.final),
    )


def _spans(values: Tensor, final: Tensor) -> np.ndarray:
    """Spans of values [H, S], and of what is paid at the end."""
    spans = values.amax(-1) - values.amin(-1)
    return np.append(spans.numpy(), float(final.max() - final.min()))


def _bias(judged: Judged, among: Among, discount: float) -> float:
    assert among.dynamics is not None and among.reward is not None
    constants = among.constants
    cells = judged.visits.shape[1] * judged.visits.shape[2]
    moduli = Moduli(
        constants["K"],
        constants["L"],
        constants["delta"],
        among.dynamics.upper,
        among.dynamics.mean[1],
        among.reward.upper,
        cells,
    )
    return float(value_bias(moduli, judged.spans, judged.players, discount)[0])


def _rate(
    job: Job,
    config: SymmetricMirrorDescentConfig,
    judged: Judged,
    among: Among,
    figures: dict[str, float],
) -> str:
    """What mirror descent with such values reaches, or what the proof lacks."""
    lacks = _lacking(job, config)
    if lacks:
        return f"no rate: {', '.join(lacks)}"
    stages, _, actions = judged.visits.shape
    made = judged.iterations
    rates = config.learning_rate / np.arange(1, made + 1, dtype=np.float64) ** config.decay
    paid = among.constants["reward span"] + config.temperature * math.log(actions)
    spans = sum((paid * (stages - h)) ** 2 for h in range(stages))
    start = stages * math.log(actions)
    divergence = divergence_bound(rates, config.temperature, start, spans, judged.square)
    constants = among.constants
    gain = gain_bound(
        divergence,
        config.temperature,
        stages,
        actions,
        constants["L"],
        constants["reward span"],
    )
    figures |= {"divergence": divergence, "gain": gain}
    return (
        f"bound with the estimated error: after {made} steps the last policy is {divergence:.3g}"
        f" from the regularised equilibrium (KL), so that nobody gains more than"
        f" {_shown(gain, among.sizes[0].cap)} in the limit"
    )


def _lacking(job: Job, config: SymmetricMirrorDescentConfig) -> list[str]:
    known = findings(with_structure(job.game.model, job.game.certificates))
    proved = {name for name, found in known.items() if found.verdict == "proved"}
    lacks = []
    if FREE not in proved:
        lacks.append("moves read the law")
    if "monotone" not in proved:
        lacks.append("the game is not proved to be monotone")
    if config.floor or config.exploration:
        lacks.append("everybody explores (`floor`, `exploration`)")
    if not config.temperature:
        lacks.append("entropy is not paid")
    if config.output != "last":
        lacks.append("a mean of policies is returned")
    if job.game.model.discount != 1:
        lacks.append("rewards are discounted")
    return lacks


def _shown(bound: float, cap: float) -> str:
    return f"{bound:.3g}" if bound < cap else f"{cap:.3g} (the cap: it says nothing)"


def _text(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)
