"""The table of solvers: names, options, assumptions and papers. It never imports torch."""

from dataclasses import dataclass
from typing import Literal

from mfdsl.runtime.solvers.config import Config as Config
from mfdsl.runtime.solvers.networks.options import (
    DeepAverageConfig,
    DeepMunchausenConfig,
    MasterConfig,
    StructuralConfig,
)
from mfdsl.runtime.solvers.options import (
    FictitiousPlayConfig,
    FixedPointConfig,
    FrankWolfeConfig,
    MirrorDescentConfig,
    MirrorProxConfig,
    MunchausenConfig,
    OccupationInclusionConfig,
    OccupationOptimisationConfig,
    ParticleSwarmConfig,
    PolicyIterationConfig,
    PolicyMirrorDescentConfig,
    PriorDescentConfig,
    SocialGradientConfig,
    SoftFixedPointConfig,
    SuccessiveAveragesConfig,
)
from mfdsl.runtime.solvers.sampled_options import SampledConfig, SymmetricMirrorDescentConfig

HorizonKind = Literal["finite", "infinite", "stationary"]


@dataclass(frozen=True)
class Row:
    """One solver: `module` and `symbol` say where its class is, `requires` what its proof needs.

    One that `averages_flows` is not defined on a stationary horizon, nor when moves read the law.
    One `over_stages` is not defined on a stationary horizon. One that `plays` learns from games of
    N agents over a finite horizon. One that is `social` looks for what is best for all together, in
    teams and in games.

    One that `decides` reads policies, Q, laws and sizes of states only, so that it does with tables
    where agents decide (`views/decisions.py`). One that `keeps` has the policy of least
    exploitability in its state (`best`, its `gap` and the iteration that `reached` it): that one is
    returned. A `remedy` is what to do where it does not arrive.

    Options that are `varied` may differ over the games of a batch; games of one that is `together`
    share draws, so that a batch of them stays together until its last game has ended.
    """

    name: str
    config: type[Config]
    summary: str
    requires: str
    reference: str
    module: str
    symbol: str
    averages_flows: bool = False
    plays: bool = False
    social: bool = False
    over_stages: bool = False
    decides: bool = False
    keeps: bool = False
    remedy: str = ""
    varied: tuple[str, ...] = ()
    together: bool = False


SOLVERS: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            "omd",
            MirrorDescentConfig,
            "online mirror descent: sum the values of past policies, play their softmax",
            "convergence in continuous time for monotone games",
            "Pérolat et al. 2021, arXiv 2103.00623",
            "mfdsl.runtime.solvers.mirror_descent",
            "MirrorDescent",
            remedy="try another `--opt learning_rate=`",
            decides=True,
            varied=("learning_rate", "temperature"),
        ),
        Row(
            "fictitious_play",
            FictitiousPlayConfig,
            "fictitious play: best response to the average of all responses so far",
            "monotone or potential games; the error falls like 1 / k",
            "Perrin et al. 2020, arXiv 2007.03458",
            "mfdsl.runtime.solvers.fictitious_play",
            "FictitiousPlay",
            remedy="try omd or prior_descent: its error falls like 1 / k at best",
            varied=("weight",),
        ),
        Row(
            "fixed_point",
            FixedPointConfig,
            "fixed-point iteration: everyone best responds to the last flow, damped if asked",
            "the map from flow to response is a contraction",
            "Guo, Hu, Xu and Zhang 2019, arXiv 1901.09585",
            "mfdsl.runtime.solvers.fixed_point",
            "FixedPoint",
            remedy="damp it more, as with `--opt damping=0.95`",
            varied=("temperature", "damping"),
        ),
        Row(
            "policy_iteration",
            PolicyIterationConfig,
            "policy iteration: improve on the policy's own values, greedily or by softmax",
            "weak coupling, or enough damping or temperature",
            "Cacace, Camilli and Goffi 2021, arXiv 2007.04818",
            "mfdsl.runtime.solvers.policy_iteration",
            "PolicyIteration",
            remedy="damp it more, as with `--opt damping=0.95`",
            varied=("temperature", "damping"),
        ),
        Row(
            "mirror_prox",
            MirrorProxConfig,
            "mirror-prox in trajectory entropy: look ahead, step, average the flows",
            "monotone games whose moves do not read the law; 1 / sqrt(k), 1 / k when skew-affine",
            "Nemirovski 2004, doi 10.1137/S1052623403425629",
            "mfdsl.runtime.solvers.mirror_prox",
            "MirrorProx",
            averages_flows=True,
        ),
        Row(
            "frank_wolfe",
            FrankWolfeConfig,
            "Frank-Wolfe on a potential: move the flow towards that of the best response",
            "potential games whose moves do not read the law; 1 / k when concave, else 1 / sqrt(k)",
            "Geist et al. 2022, arXiv 2106.03787",
            "mfdsl.runtime.solvers.frank_wolfe",
            "FrankWolfe",
            remedy="try prior_descent where no potential is proved",
            averages_flows=True,
        ),
        Row(
            "pmd",
            PolicyMirrorDescentConfig,
            "entropic policy mirror descent: tilt the policy by its values, with entropy paid",
            "monotone games whose moves do not read the law, to the regularised equilibrium",
            "Lan 2021, arXiv 2102.00135",
            "mfdsl.runtime.solvers.policy_mirror_descent",
            "PolicyMirrorDescent",
        ),
        Row(
            "soft_fixed_point",
            SoftFixedPointConfig,
            "soft fixed-point iteration: everyone best responds with entropy paid",
            "a temperature above the threshold where the soft response is a contraction",
            "Cui and Koeppl 2021, arXiv 2102.01585",
            "mfdsl.runtime.solvers.soft_fixed_point",
            "SoftFixedPoint",
        ),
        Row(
            "munchausen_omd",
            MunchausenConfig,
            "online mirror descent without a sum: values that are paid the policy's logarithm",
            "convergence in continuous time for monotone games",
            "Laurière et al. 2022, arXiv 2203.11973",
            "mfdsl.runtime.solvers.munchausen",
            "Munchausen",
        ),
        Row(
            "prior_descent",
            PriorDescentConfig,
            "regularised responses to a prior policy, which becomes the last one now and then",
            "a temperature at which responses contract; monotone games with response = soft",
            "Cui and Koeppl 2021, arXiv 2102.01585",
            "mfdsl.runtime.solvers.prior_descent",
            "PriorDescent",
        ),
        Row(
            "mf_omo",
            OccupationOptimisationConfig,
            "a path of laws, values and gaps to where an objective is zero: at an equilibrium",
            "nothing is known to be enough: the objective is not convex",
            "Guo, Hu and Zhang 2022, arXiv 2206.09608",
            "mfdsl.runtime.solvers.occupation_optimisation",
            "OccupationOptimisation",
            keeps=True,
            remedy="try policy_iteration, where moves read the law over many stages",
        ),
        Row(
            "mf_omi",
            OccupationInclusionConfig,
            "steps of the flow along the rewards, projected onto the flows of the game",
            "monotone games whose moves do not read the law",
            "Hu and Zhang 2024, arXiv 2405.00282",
            "mfdsl.runtime.solvers.occupation_inclusion",
            "OccupationInclusion",
            over_stages=True,
        ),
        Row(
            "mf_pso",
            ParticleSwarmConfig,
            "a swarm of policies that drift towards the least exploitability any of them met",
            "nothing is known to be enough; for small games",
            "Magnino et al. 2026, arXiv 2602.12517",
            "mfdsl.runtime.solvers.particle_swarm",
            "ParticleSwarm",
            varied=("seed",),
        ),
        Row(
            "successive_averages",
            SuccessiveAveragesConfig,
            "averages of best responses, each state at its pace; then the best one block by block",
            "nothing is known to be enough; for games whose rewards or moves jump in the law",
            "Kesten 1958, doi 10.1214/aoms/1177706705",
            "mfdsl.runtime.solvers.successive_averages",
            "SuccessiveAverages",
            decides=True,
            keeps=True,
        ),
        Row(
            "symm_pmd",
            SymmetricMirrorDescentConfig,
            "policy mirror descent of one policy for all, learned from games of N agents",
            "N agents that are nearly alike, and a monotone induced game",
            "Yardim and He 2025, arXiv 2408.15173",
            "mfdsl.runtime.solvers.symmetric_mirror_descent",
            "SymmetricMirrorDescent",
            plays=True,
        ),
        Row(
            "independent_pmd",
            SampledConfig,
            "policy mirror descent of every agent by itself, from its own games; a baseline",
            "nothing is known to be enough",
            "Yardim and He 2025, arXiv 2408.15173",
            "mfdsl.runtime.solvers.independent_mirror_descent",
            "IndependentMirrorDescent",
            plays=True,
        ),
        Row(
            "deep_munchausen",
            DeepMunchausenConfig,
            "munchausen_omd with a network in the place of the table, on exact laws",
            "what omd needs; no rate is proved for networks",
            "Laurière et al. 2022, arXiv 2203.11973",
            "mfdsl.runtime.solvers.networks.munchausen",
            "DeepMunchausen",
            together=True,
        ),
        Row(
            "average_fp",
            DeepAverageConfig,
            "fictitious play with networks for the response and for the average policy",
            "what fictitious_play needs; no rate is proved for networks",
            "Laurière et al. 2022, arXiv 2203.11973",
            "mfdsl.runtime.solvers.networks.average",
            "DeepAverage",
            together=True,
        ),
        Row(
            "structural_pg",
            StructuralConfig,
            "a policy network along the gradient of its exact return, the population held fixed",
            "nothing is known to be enough",
            "Wibault et al. 2026, arXiv 2602.20141",
            "mfdsl.runtime.solvers.networks.policy_gradient",
            "StructuralPolicyGradient",
            together=True,
        ),
        Row(
            "master",
            MasterConfig,
            "one network that reads the law as well, trained on many initial laws",
            "what omd needs, at every law; no rate is proved for networks",
            "Wu et al. 2024, arXiv 2403.03552",
            "mfdsl.runtime.solvers.networks.master",
            "Master",
            together=True,
        ),
        Row(
            "social_gradient",
            SocialGradientConfig,
            "the social optimum: mirror ascent along the exact gradient through the flow",
            "a social value that is concave in flows; else it ends at a stationary point",
            "Agarwal et al. 2021, arXiv 1908.00261",
            "mfdsl.runtime.solvers.social.gradient",
            "SocialGradient",
            social=True,
            over_stages=True,
            varied=("seed",),
        ),
    )
}


def choose(horizon_kind: HorizonKind) -> tuple[str, str]:
    """The solver to use when none is named and none is proved to work, with the reason.

    Over a finite horizon, and for small stationary games, it is where trials of several heuristics
    begin.
    """
    why = "no solver is licensed"
    if horizon_kind == "stationary":
        return (
            "omd",
            f"{why}; mirror descent needs no contraction, and a stationary law may move far",
        )
    return "omd", why
