"""The verbs as typed functions: they return values and print nothing.

Torch is imported by the verbs that compute, not by those that check and compile; what searches for
certificates by those that check.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mfdsl.artifact import Artifact, write_artifact
from mfdsl.compiler.driver import Options, compile_file
from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game, Parameters, check_choices, load, loaded
from mfdsl.parameters import given_values
from mfdsl.report import Report
from mfdsl.settings import with_settings_checked
from mfdsl.shipped import find_spec
from mfdsl.simulate_verb import simulate
from mfdsl.solve_verbs import resume, solve

if TYPE_CHECKING:
    from mfdsl.calibrating import Calibration
    from mfdsl.clearing import Clearing
    from mfdsl.compiler.analysis.certificate import Certificate
    from mfdsl.compiler.ir.model import Model
    from mfdsl.evaluating import Scored
    from mfdsl.leading import Stackelberg
    from mfdsl.proofs import Recheck
    from mfdsl.runtime.evaluate import Evaluation
    from mfdsl.validating.outcome import Validation

__all__ = [
    "Artifact",
    "Device",
    "Dtype",
    "Game",
    "Report",
    "calibrate",
    "check",
    "clear",
    "compile",
    "evaluate",
    "load",
    "recheck",
    "resume",
    "simulate",
    "solve",
    "stackelberg",
    "validate",
]

Effort = Literal["none", "default", "high"]
Accept = Literal["proved", "tested"]


def check(
    path: str | Path,
    *,
    params: Parameters | None = None,
    accept: Accept = "tested",
    effort: Effort = "default",
    ask: Sequence[str] = (),
    whole_box: bool = False,
    keep_proof: str | Path | None = None,
) -> Report:
    """Check a spec; what is wrong with it is in the report, and what is proved about it.

    `effort` is the work for what the spec does not `require`: none, 0.8 or 30 counted seconds. With
    questions to `ask`, such as `lipschitz(reward, mu)`, these are answered instead. With
    `whole_box` constants hold for all values of the parameters in their ranges. The searches of
    what is required are replayed in balls if python-flint is installed and they are short, with
    high effort or `keep_proof` those of all constants. A proof is written only for a spec without
    errors.

    Raises:
        UsageError: a name that is neither a file nor a shipped game, or a question that makes no
            sense for the game, or a file that cannot be written.
    """
    from mfdsl.compiler.analysis.balls import available
    from mfdsl.compiler.analysis.proofs.archive import REPLAYED, Archive, keeping

    options = Options(parameters=given_values(params or {}), accept=accept)
    patient = keep_proof is not None or effort == "high"
    archive = Archive(most=None if patient else REPLAYED)
    with keeping(archive if patient or available() else None):
        compilation = with_settings_checked(compile_file(find_spec(path), options))
    if compilation.model is None or not compilation.ok:
        return Report(compilation)
    with keeping(archive if patient else None):
        more = _more(compilation.model, effort, ask, whole_box)
    report = Report(compilation, more, whole_box)
    if keep_proof is not None:
        from mfdsl.proofs import proof_of, write_proof

        proof = proof_of(
            compilation.model,
            report.certificates,
            archive.claims,
            parameters=options.parameters,
            whole_box=whole_box,
        )
        write_proof(keep_proof, proof)
    return report


def _more(
    model: "Model", effort: Effort, ask: Sequence[str], whole_box: bool
) -> "tuple[Certificate, ...]":
    """What a spec does not require: answers to questions, or everything else."""
    if not ask:
        from mfdsl.compiler.analysis.regularity import regularity

        return regularity(model, effort, whole_box=whole_box)
    from mfdsl.compiler.analysis.questions import QuestionError, answers

    try:
        return tuple(c for text in ask for c in answers(model, text, whole_box=whole_box))
    except QuestionError as error:
        raise UsageError(str(error), error.hint) from None


def recheck(path: str | Path, proof: str | Path, *, params: Parameters | None = None) -> "Recheck":
    """Check the proof in a file, written by `check(..., keep_proof=file)`, against a spec: bounds,
    witnesses and rules again, without a search. Parameters are those of the proof by default.

    Raises:
        CompileError: the spec has errors.
        UsageError: the file is no proof, or one of another game or of other parameters.
    """
    from mfdsl.proofs import recheck_file

    return recheck_file(path, proof, given_values(params or {}))


def compile(
    path: str | Path, *, out: str | Path = "build", params: Parameters | None = None
) -> Artifact:
    """Compile a spec into `out/<name>-<key>/`; equal inputs give equal bytes.

    Raises:
        CompileError: the spec has errors.
        UsageError: the folder cannot be written.
    """
    game = load(path, params=params)
    return write_artifact(game.compilation, game.parameters, Path(out))


def evaluate(
    game: Game | str | Path,
    policy: "Scored" = "uniform",
    *,
    params: Parameters | None = None,
    device: Device = "cpu",
    dtype: Dtype = "float64",
) -> "Evaluation":
    """The flow, the values and the exploitability of any policy on the tables of a game.

    A policy is a solution or that of one, the folder of a run, "uniform", or an array [T, S, A] of
    probabilities, T = 1 for a stationary one, with flat states and actions, row by row.

    Raises:
        CompileError: the spec has errors.
        UsageError: the game has no tables, or the policy is none of this game.
        TypeError: `params` for a game that is loaded already.
    """
    from mfdsl.evaluating import evaluation

    check_choices(device, dtype)
    return evaluation(loaded(game, params), policy, device=device, dtype=dtype)


def validate(
    target: Game | str | Path,
    policy: "Scored | None" = None,
    *,
    agents: Sequence[int] = (10, 100, 1000),
    games: int | None = None,
    params: Parameters | None = None,
    seed: int = 0,
    seconds: float = 20.0,
    gain: float | None = None,
) -> "Validation":
    """Play a game against its tables, its certificates, its limit and its equilibrium.

    `target` is a game, a spec or the folder of a run, `policy` is `still`, `uniform`, the folder of
    a run, or a table as `evaluate` takes it: by default the run, or `uniform`. Bounds
    that are exceeded are written to a file. With a `gain` the report says with how many agents
    nobody gains more.

    Raises:
        CompileError: the spec has errors.
        UsageError: a number is out of range, or the run is damaged or of another game.
        TypeError: `params` for a game that is loaded already.
    """
    from mfdsl.validating.trial import trial_of
    from mfdsl.validating.validate import validate as run

    if isinstance(target, Game):
        target = loaded(target, params)
        params = None
    trial = trial_of(
        target,
        policy=policy,
        params=params,
        agents=agents,
        games=games,
        seed=seed,
        seconds=seconds,
        gain=gain,
    )
    return run(trial)


def calibrate(
    game: Game | str | Path,
    data: str | Path,
    fit: str | Sequence[str],
    *,
    temperature: float = 0.1,
    evaluations: int = 100,
    params: Parameters | None = None,
    device: Device = "cpu",
) -> "Calibration":
    """Fit parameters to a flow that was observed, in logit equilibrium.

    `data` is a CSV file with the columns `t`, variables of states, `share`, and perhaps `weight`.
    The search begins at the values of the spec; `temperature` among the names is fitted, too.

    Raises:
        CompileError: the spec has errors.
        UsageError: a name cannot be fitted, the data do not fit the game, or there is no
            equilibrium.
    """
    from mfdsl.calibrating import calibrate as fitted

    return fitted(
        loaded(game, params),
        data,
        [fit] if isinstance(fit, str) else fit,
        temperature=temperature,
        evaluations=evaluations,
        device=device,
    )


def stackelberg(
    game: Game | str | Path,
    choose: str | Sequence[str],
    *,
    weights: Mapping[str, float] | None = None,
    temperature: float = 0.1,
    evaluations: int = 200,
    starts: int = 1,
    seed: int = 0,
    params: Parameters | None = None,
    device: Device = "cpu",
) -> "Stackelberg":
    """The parameters `choose`, numbers or arrays, that are best for a leader at the crowd's logit
    equilibrium.

    The leader gets what the crowd earns by each term of its rewards times its weight, 1 where
    `weights` has none. Searches go from the values of the spec, and with more `starts` from random
    ones; what is found is a local optimum.

    Raises:
        CompileError: the spec has errors, or has some at the best values.
        UsageError: a name is no real parameter that can move or no term, all weights are 0, the
            players are a team, or no equilibrium was found.
    """
    from mfdsl.leading import stackelberg as led

    return led(
        loaded(game, params),
        [choose] if isinstance(choose, str) else choose,
        weights=weights,
        temperature=temperature,
        evaluations=evaluations,
        starts=starts,
        seed=seed,
        device=device,
    )


def clear(
    game: Game | str | Path,
    choose: str | Sequence[str],
    meet: str | Sequence[str],
    *,
    temperature: float = 0.1,
    evaluations: int = 100,
    params: Parameters | None = None,
    device: Device = "cpu",
) -> "Clearing":
    """Prices `choose`, parameters of the spec, at which the terms `meet` of its rewards are 0 in
    logit equilibrium: at every stage where there is a number for each, else in the sum.

    Raises:
        CompileError: the spec has errors, or has some at the values found.
        UsageError: a name is no real parameter that can move or no term, there are more or fewer
            numbers than equations, the players are a team, or no equilibrium was found.
    """
    from mfdsl.clearing import clear_market

    return clear_market(
        loaded(game, params),
        [choose] if isinstance(choose, str) else choose,
        [meet] if isinstance(meet, str) else meet,
        temperature=temperature,
        evaluations=evaluations,
        device=device,
    )
