"""The decision table: what each solver needs, under which options, and what is then proved.

Sources: the docstrings of the solvers and of `runtime.solvers.rates`. Nothing here imports torch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mfdsl.findings import (
    CONCAVE_SOCIAL,
    FINAL_MODULUS,
    FREE,
    REWARD_MODULUS,
    REWARD_RANGE,
    Finding,
)
from mfdsl.runtime.solvers import rates
from mfdsl.runtime.solvers.table import HorizonKind

Options = dict[str, Any]

# Monotone between flows only, which is all that the proofs use.
ON_FLOWS = "monotone_on_flows"


@dataclass(frozen=True)
class Case:
    """What a rate depends on besides properties.

    `stages` is H, None unless finite; `actions` is |A|, of several populations the product of
    theirs; `plain` says that the tables are the game itself: populations with finite variables that
    look for a Nash equilibrium; `final` that it has final rewards. `populations` has the names of
    populations that are paid where there are several, `readings` then the claim and the subject of
    each modulus of a reward in a law that it reads. `team` says that all play for one value.
    `entangled` says why one best response to all others may be no equilibrium where nobody reads a
    law, None where it is one. `estimated` says why tables of the game are those of another one, so
    that no figure of theirs is promised; None where they are not.
    """

    horizon: HorizonKind
    stages: int | None
    actions: int
    discount: float
    plain: bool
    final: bool
    tolerance: float
    populations: tuple[str, ...] = ()
    readings: tuple[tuple[str, str], ...] = ()
    team: bool = False
    entangled: str | None = None
    estimated: str | None = None


@dataclass(frozen=True)
class Constants:
    """The numbers of a game, infinite where they are not bounded.

    `modulus` is the sum over the stages of the l1 moduli of the discounted rewards, `largest` the
    largest of them, `span` of the rewards, `threshold` tau* of a contraction certificate, `laws`
    the number of laws that rewards read: H, and one more with final rewards. `stages` is 0 and
    `modulus` infinite unless the horizon is finite.
    """

    stages: int
    actions: int
    discount: float
    modulus: float
    largest: float
    span: float
    threshold: float
    tolerance: float
    laws: int

    @property
    def entropy(self) -> float:
        """H log|A|: the entropy of the trajectories, which times the temperature is the bias.

        Without an end log|A| / (1 - discount), the sum of the discounted entropies.
        """
        if self.stages:
            return self.stages * math.log(self.actions)
        return math.log(self.actions) / (1 - self.discount) if self.discount < 1 else math.inf


def constants_of(known: Mapping[str, Finding], case: Case) -> Constants:
    """The numbers behind the rates."""
    stages = case.stages or 0
    running = known.get(REWARD_MODULUS, Finding()).upper
    last = known.get(FINAL_MODULUS, Finding()).upper if case.final else 0.0
    weights = [case.discount**t for t in range(stages + 1)]
    return Constants(
        stages=stages,
        actions=max(case.actions, 2),
        discount=case.discount,
        modulus=sum(weights[:-1]) * running + weights[-1] * last if stages else math.inf,
        largest=max(running, last),
        span=math.inf if case.final else known.get(REWARD_RANGE, Finding()).upper,
        threshold=known.get("contraction", Finding()).upper,
        tolerance=case.tolerance,
        laws=stages + case.final,
    )


class NotApplicable(Exception):
    """The schedule of a rule cannot reach the tolerance; the message says why."""


@dataclass(frozen=True)
class Rule:
    """One row of the decision table.

    `schedule` gives the options, `bound` the exploitability after T iterations under them; without
    a bound convergence is proved but not its rate. `proved` is False for what is only known of a
    limit in continuous time. `horizon` restricts the rule to plain games with that horizon; one
    with `stages` is finite or infinite.
    """

    solver: str
    needs: tuple[str, ...]
    guarantee: str
    schedule: Callable[[Constants], Options] = field(default=lambda c: {})
    bound: Callable[[Constants, Options], rates.Bound | None] = field(default=lambda c, o: None)
    proved: bool = True
    horizon: Literal["finite", "stationary", "stages", "any"] = "finite"


def _mirror_prox(c: Constants) -> Options:
    _need_modulus(c)
    return {"learning_rate": 1 / c.modulus}


def _mirror_prox_bound(*, skew_affine: bool) -> Callable[[Constants, Options], rates.Bound]:
    return lambda c, options: (
        lambda t: rates.mirror_prox_bound(
            t, c.modulus, c.stages, c.actions, skew_affine=skew_affine
        )
    )


def _need_modulus(c: Constants) -> None:
    if c.modulus == 0:
        raise NotApplicable("the rewards do not read the law: one best response solves the game")


def _short_steps(c: Constants) -> Options:
    _need_modulus(c)
    return {"step": "short", "curvature": 4 * c.modulus}


def _short_steps_bound(c: Constants, options: Options) -> rates.Bound | None:
    height = c.stages * c.span
    if math.isinf(height):
        return None
    return lambda t: rates.frank_wolfe_short_bound(t, c.modulus, height)


def _pmd(c: Constants) -> Options:
    if c.discount != 1:
        raise NotApplicable("the rate is proved without discount")
    if c.tolerance == 0:
        raise NotApplicable("a temperature leaves a bias, so a tolerance of 0 is out of reach")
    return {"temperature": c.tolerance / (2 * c.entropy)}


def _pmd_bound(c: Constants, options: Options) -> rates.Bound:
    return lambda t: rates.pmd_bound(
        t, options["temperature"], c.modulus, c.stages, c.actions, c.span
    )


def _warm(c: Constants) -> Options:
    """Halfway between the threshold and the temperature whose bias is the tolerance."""
    return _between(c, _free_threshold(c))


def _certified(c: Constants) -> Options:
    """The same above the threshold of a certificate, which covers moves that read the law."""
    return _between(c, c.threshold)


def _between(c: Constants, threshold: float) -> Options:
    highest = c.tolerance / c.entropy
    if not threshold < highest:
        raise NotApplicable(
            f"a contraction needs a temperature above {threshold:.3g}, where the bias is up to "
            f"{threshold * c.entropy:.3g}, more than the tolerance"
        )
    return {"temperature": (threshold + highest) / 2}


def _free_threshold(c: Constants) -> float:
    """The threshold of a game whose moves do not read the law; nothing is known of others."""
    return rates.contraction(c.laws, c.largest)[0] if math.isfinite(c.largest) else math.inf


def _warm_bound(c: Constants, options: Options) -> rates.Bound | None:
    temperature = options["temperature"]
    if not rates.contraction(c.laws, c.largest)[0] < temperature:
        return None
    return lambda t: rates.soft_fixed_point_bound(
        t, temperature, c.largest, c.stages, c.actions, c.laws
    )


def _stationary_bound(c: Constants, options: Options) -> rates.Bound | None:
    """The rate where moves do not read the law and the modulus is known; else there is no count."""
    if not math.isfinite(c.largest):
        return None
    return lambda t: rates.soft_stationary_bound(
        t, options["temperature"], c.threshold, c.largest, c.discount, c.actions
    )


# Of each solver the weakest needs first: they are what is said to be missing. Between solvers this
# is the order of preference where the promised counts are equal.
RULES = (
    Rule(
        "fixed_point",
        ("independent",),
        "the first best response is an equilibrium",
        bound=lambda c, o: lambda t: 0.0 if t >= 1 else math.inf,
        horizon="any",
    ),
    Rule(
        "policy_iteration",
        ("independent",),
        "policy improvement ends at an optimal policy",
        bound=lambda c, o: (lambda t: 0.0 if t >= c.stages else math.inf) if c.stages else None,
        horizon="any",
    ),
    Rule(
        "mirror_prox",
        (FREE, "monotone", REWARD_MODULUS),
        "exploitability <= 4 M sqrt(H log|A| / T)",
        _mirror_prox,
        _mirror_prox_bound(skew_affine=False),
    ),
    Rule(
        "mirror_prox",
        (FREE, ON_FLOWS, REWARD_MODULUS),
        "exploitability <= 4 M sqrt(H log|A| / T)",
        _mirror_prox,
        _mirror_prox_bound(skew_affine=False),
    ),
    Rule(
        "mirror_prox",
        (FREE, "skew_affine", REWARD_MODULUS),
        "exploitability <= H M log|A| / T",
        _mirror_prox,
        _mirror_prox_bound(skew_affine=True),
    ),
    Rule(
        "frank_wolfe",
        (FREE, "potential", REWARD_MODULUS),
        "least exploitability of T iterates <= max(2 H span(R), 4 M) / sqrt(T + 1)",
        _short_steps,
        _short_steps_bound,
    ),
    Rule(
        "frank_wolfe",
        (FREE, "concave_potential", REWARD_MODULUS),
        "least exploitability of T iterates <= 27 M / (T + 2)",
        bound=lambda c, o: lambda t: rates.frank_wolfe_bound(t, c.modulus),
    ),
    Rule(
        "frank_wolfe",
        (FREE, "concave_potential", REWARD_MODULUS),
        "least exploitability of T iterates <= 27 M / (T + 2)",
        lambda c: {"step": "open"},
        lambda c, o: lambda t: rates.frank_wolfe_bound(t, c.modulus),
    ),
    Rule(
        "frank_wolfe",
        (FREE, "potential", ON_FLOWS, REWARD_MODULUS),
        "least exploitability of T iterates <= 27 M / (T + 2)",
        bound=lambda c, o: lambda t: rates.frank_wolfe_bound(t, c.modulus),
    ),
    Rule(
        "soft_fixed_point",
        ("contraction",),
        "laws contract by tau* / temperature, bias <= temperature log|A| / (1 - discount)",
        _certified,
        horizon="stationary",
    ),
    Rule(
        "soft_fixed_point",
        (FREE, "contraction", REWARD_MODULUS),
        "laws contract by tau* / temperature, bias <= temperature log|A| / (1 - discount)",
        _certified,
        _stationary_bound,
        horizon="stationary",
    ),
    Rule(
        "soft_fixed_point",
        ("contraction",),
        "flows contract by tau* / temperature, bias <= temperature H log|A|",
        _certified,
    ),
    Rule(
        "soft_fixed_point",
        (FREE, REWARD_MODULUS),
        "flows contract by tau* / temperature, bias <= temperature H log|A|",
        _warm,
        _warm_bound,
    ),
    Rule(
        "pmd",
        (FREE, "monotone", REWARD_MODULUS, REWARD_RANGE),
        "KL(equilibrium | policy) falls like 1 / (temperature^2 T), bias temperature H log|A|",
        _pmd,
        _pmd_bound,
    ),
    Rule(
        "pmd",
        (FREE, ON_FLOWS, REWARD_MODULUS, REWARD_RANGE),
        "KL(equilibrium | policy) falls like 1 / (temperature^2 T), bias temperature H log|A|",
        _pmd,
        _pmd_bound,
    ),
    Rule(
        "omd",
        (FREE, "monotone"),
        "converges in continuous time; no rate for steps",
        proved=False,
    ),
    Rule(
        "fictitious_play",
        (FREE, "monotone"),
        "1 / t in continuous time; no rate for steps",
        proved=False,
    ),
    Rule(
        "mf_omi",
        (FREE, "monotone"),
        "golden ratio steps converge; their number is not known",
        proved=False,
    ),
    Rule(
        "prior_descent",
        (FREE, "monotone"),
        "response=soft with inner iterations that settle converges; their number is not known",
        proved=False,
    ),
    Rule(
        "social_gradient",
        (FREE, CONCAVE_SOCIAL),
        "the optimum is better by at most the exploitability under marginal rewards",
        horizon="stages",
    ),
)
