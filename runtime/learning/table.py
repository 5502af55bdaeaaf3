"""The table of learners: names, options and papers. It never imports torch."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from mfdsl.runtime.solvers.table import Config


class LearnerConfig(Config):
    """Options of every learner; a number 0 means that the learner chooses."""

    agents: int = Field(0, ge=0, description="number of agents to train with; 0: as in the spec")
    games: int = Field(16, ge=1, description="number of games played side by side")
    steps: int = Field(0, ge=0, description="length of an episode; 0: the horizon")
    learning_rate: float = Field(1e-3, gt=0, description="step of Adam, at the start")
    final_rate: float = Field(
        0.05, ge=0, le=1, description="part of the learning rate that is left at the end"
    )
    hidden: int = Field(64, ge=1, description="width of the hidden layers")
    layers: int = Field(2, ge=1, le=8, description="number of hidden layers")
    nearest: int = Field(0, ge=0, description="how many neighbours each agent sees one by one")
    hide: str = Field("", description="observed values that are left out, separated by spaces")
    evaluate_every: int = Field(10, ge=1, description="iterations between two measurements")
    evaluate_games: int = Field(64, ge=2, description="games of a measurement")
    evaluate_agents: int = Field(0, ge=0, description="agents of a measurement; 0: as in training")


class PolicyConfig(LearnerConfig):
    """Options of learners that follow gradients of one policy for all agents."""

    learning_rate: float = Field(3e-3, gt=0, description="step of Adam, at the start")
    encoder: Literal["mean_embed", "moments", "histogram", "rff", "attention"] = Field(
        "mean_embed", description="what the networks read of a law"
    )
    embedding: int = Field(32, ge=1, description="how many numbers stand for a law")
    bins: int = Field(7, ge=1, description="cells of a histogram in each direction")
    fields: bool = Field(
        False, description="whether each agent sees how much mass is near, and where"
    )
    squash: Literal["tanh", "clip", "simplex"] = Field(
        "tanh", description="how real actions are brought into their bounds"
    )
    log_std: float = Field(-0.5, description="logarithm of the deviation of actions, at the start")
    laws: bool = Field(
        True, description="whether laws are read as a whole, besides what is near each agent"
    )
    show: str = Field(
        "",
        description="common values that are shown to those who do not observe them, separated by"
        " spaces; places [n, d] with how much is there [n] are read as points in no order",
    )
    gradient: Literal["auto", "path", "score"] = Field(
        "auto",
        description="path: through the simulator; score: PPO; auto: path where nothing cuts it",
    )
    credit: Literal["auto", "marginal", "team", "own"] = Field(
        "auto",
        description="what reaches an agent: what it adds to the team, the team's reward, its own",
    )
    critic: Literal["auto", "team", "member", "joint"] = Field(
        "auto",
        description="whose values: the team's by what is common, each member's, or the team's by"
        " the own values of all agents in a row; auto: the team's where credit is",
    )
    clip: float = Field(0.2, gt=0, lt=1, description="how far a ratio of probabilities may move")
    decay: float = Field(0.95, ge=0, le=1, description="lambda of the advantages")
    discount: float = Field(
        0, ge=0, le=1, description="weight of the next reward in training; 0: that of the game"
    )
    epochs: int = Field(4, ge=1, description="passes over each batch")
    minibatches: int = Field(4, ge=1, description="parts of a pass")
    entropy: float = Field(0.0, ge=0, description="weight of the entropy of the policy")
    members: int = Field(16, ge=1, description="agents of each scene in the loss")
    bootstrap: bool = Field(
        False, description="whether the last step of an episode is valued as if the game went on"
    )
    gradient_norm: float = Field(0.5, gt=0, description="longest gradient")
    kl: float = Field(0.05, gt=0, description="divergence after which a batch is left")


class BaselineConfig(PolicyConfig):
    """Options of learners that other people compare with: team credit, PPO, and gamma 0.99."""

    gradient: Literal["score"] = Field("score", description="PPO")
    credit: Literal["team"] = Field("team", description="the team's reward, for everybody")
    learning_rate: float = Field(1e-3, gt=0, description="step of Adam, at the start")
    members: int = Field(64, ge=1, description="agents of each scene in the loss")
    discount: float = Field(
        0.99, ge=0, le=1, description="weight of the next reward; 0: the game's"
    )
    encoder: Literal["mean_embed", "moments", "histogram", "rff", "attention"] = Field(
        "histogram", description="what the networks read of a law"
    )


class IndependentConfig(BaselineConfig):
    """Options of ippo."""

    critic: Literal["member"] = Field("member", description="each agent's value of what it sees")


class CentralConfig(BaselineConfig):
    """Options of mappo."""

    critic: Literal["joint"] = Field(
        "joint", description="the team's value of the own values of all agents in a row"
    )


Identity = Literal["symmetric", "one_hot", "integer", "individual"]
"""How networks know whose they are."""


class GameConfig(PolicyConfig):
    """Options of ppo_nash."""

    gradient: Literal["score"] = Field("score", description="PPO")
    credit: Literal["own"] = Field("own", description="everybody has its own rewards")
    critic: Literal["member"] = Field("member", description="each agent's value of what it sees")
    entropy: float = Field(0.01, ge=0, description="weight of the entropy of the policy")
    network: Identity = Field(
        "symmetric",
        description="symmetric: one network for all agents of a population; one_hot, integer: the"
        " same with who one is as entries or as a number; individual: one for each agent",
    )
    gap: Literal["exact", "learned", "none"] = Field(
        "exact",
        description="what measurements say of exploitability: exact where there are tables;"
        " learned: else a lower bound by a response that is learned each time",
    )


class PlannerConfig(PolicyConfig):
    """Options of m3f_ppo."""

    learning_rate: float = Field(1e-3, gt=0, description="step of Adam, at the start")
    encoder: Literal["mean_embed", "moments", "histogram", "rff", "attention"] = Field(
        "histogram", description="what the planner reads of a law"
    )
    hidden: int = Field(256, ge=1, description="width of the hidden layers")
    log_std: float = Field(
        -1.0, description="logarithm of the deviation of the upper action, at the start"
    )
    rule: Literal["bins", "rbf"] = Field(
        "bins", description="tables over cells of the own state, or smoothed by kernels"
    )
    cells: str = Field(
        "",
        description="cells of single variables, of rules and in a histogram that the planner reads"
        " of the population, as in `q=2`; else `bins`",
    )
    softmax: bool = Field(
        False, description="whether entries for finite actions are logarithms of weights"
    )
    entries: Literal["tanh", "clip", "released"] = Field(
        "tanh", description="how numbers become entries in [-1, 1]; released: clipped, then tanh"
    )


class MaddpgConfig(LearnerConfig):
    """Options of maddpg; `AS_IN_PIC` has those of PIC's experiments."""

    games: int = Field(4, ge=1, description="number of games played side by side")
    nearest: int = Field(0, ge=0, description="how many neighbours each agent sees one by one")
    critic: Literal["deepsets", "mlp", "gcn", "gcn_pic", "mf_a", "vdn"] = Field(
        "deepsets",
        description="how all observations and actions are read: by deep sets, in a row, by graph"
        " networks (gcn_pic: divided by N once more), one's own with the mean action, as a sum",
    )
    parameters: int = Field(37_000, ge=1, description="number of parameters of the critic")
    discount: float = Field(0.95, gt=0, lt=1, description="weight of the next reward")
    soft: float = Field(0.01, gt=0, le=1, description="how far targets follow in an update")
    batch: int = Field(1024, ge=1, description="scenes of an update")
    replay: int = Field(100_000, ge=1, description="scenes that are kept")
    updates: float = Field(8, gt=0, description="updates of each network in 100 steps of a game")
    critic_first: int = Field(
        0, ge=0, description="iterations at the start in which the critic alone learns"
    )
    paid: Literal["now", "arrival"] = Field(
        "now", description="arrival: a step is paid what the game pays at the next one"
    )
    per_agent: bool = Field(
        True, description="whether the critic's rewards are the team's divided by its size"
    )
    online_target: bool = Field(
        False, description="whether actions after a step are the actor's, not its target's"
    )
    double_target: bool = Field(
        False, description="whether the critic's target follows at updates of the actor as well"
    )
    noisy: bool = Field(False, description="whether measurements explore as training does")


AS_IN_PIC: dict[str, Any] = {
    "hidden": 128,
    "learning_rate": 1e-2,
    "final_rate": 0.0,
    "replay": 1_000_000,
    "paid": "arrival",
    "per_agent": False,
    "online_target": True,
    "double_target": True,
    "noisy": True,
}
"""What differs from the defaults of `maddpg` in PIC's code: all of it, oddities included."""


class MeanFieldConfig(LearnerConfig):
    """Options of mf_q and mf_ac."""

    games: int = Field(4, ge=1, description="number of games played side by side")
    learning_rate: float = Field(2e-3, gt=0, description="step of Adam, at the start")
    temperature: float = Field(
        0.1, gt=0, description="price of entropy; reached in the middle of the course"
    )
    first_temperature: float = Field(1.0, gt=0, description="the same, at the start")
    discount: float = Field(
        0, ge=0, le=1, description="weight of the next reward in training; 0: that of the game"
    )
    soft: float = Field(0.02, gt=0, le=1, description="how far targets follow in an update")
    replay: int = Field(1024, ge=1, description="scenes that are kept")
    batch: int = Field(64, ge=1, description="scenes of an update")
    members: int = Field(16, ge=1, description="agents of each of them, drawn one by one")
    updates: int = Field(20, ge=1, description="updates in each iteration")


class GeneratedConfig(LearnerConfig):
    """Options of gd_mfrl."""

    response: Literal["auto", "quadratic", "tables", "path", "score"] = Field(
        "auto",
        description="how the law is answered: exactly where one agent's problem is"
        " linear-quadratic, or on tables; by networks along the path, or by PPO",
    )
    generator: Literal["auto", "implicit", "flow", "cfm", "mdn", "autoreg"] = Field(
        "auto",
        description="what draws the law; auto: implicit for real states, autoreg for finite ones",
    )
    vary: str = Field(
        "",
        description="ranges of parameters, as `m0=-1..1 kappa=0.5..2`: one generator and one"
        " policy, which reads the law, for all these games",
    )
    contexts: int = Field(
        8, ge=2, description="games of the family that are trained on, the spec's own among them"
    )
    encoder: Literal["moments", "mean_embed", "rff", "attention"] = Field(
        "moments", description="what networks read of a law"
    )
    begin: str = Field(
        "", description="the folder of a run whose generator, policy and paths are gone on from"
    )
    loss: Literal["auto", "energy", "sliced", "mmd", "wgan_gp", "likelihood", "velocity"] = Field(
        "auto", description="what the generator is fitted by; auto: what fits it"
    )
    gap: Literal["tables", "learned", "none"] = Field(
        "tables",
        description="what networks are judged by: exactly where tables fit or one agent's problem"
        " is linear-quadratic, else by nothing or a learned response, which is a lower bound and"
        " takes minutes",
    )
    mirror: float = Field(0.1, gt=0, description="step of mirror descent on tables")
    answers: int = Field(
        20, ge=1, le=4096, description="steps of Adam, or episodes, that networks answer with"
    )
    learners: int = Field(256, ge=1, description="agents of a game from which networks learn")
    games: int = Field(2, ge=1, description="crowds that networks meet side by side")
    entropy: float = Field(0.0, ge=0, description="weight of the entropy of the policy in PPO")
    kl: float = Field(0.05, gt=0, description="divergence after which PPO leaves a batch")
    learning_rate: float = Field(3e-3, gt=0, description="step of Adam of networks, at the start")
    crowd: int = Field(2048, ge=2, description="points of the law that agents meet")
    paths: int = Field(8192, ge=16, description="paths of agents that are kept")
    fresh: float = Field(
        0.5, ge=0, le=1, description="part of them that an iteration replaces; 0: 1 / (k + 1)"
    )
    fit_steps: int = Field(100, ge=1, description="steps of Adam of the generator each iteration")
    fit_batch: int = Field(128, ge=2, description="points of each time in such a step")
    fit_rate: float = Field(2e-3, gt=0, description="their size at the start")
    width: int = Field(64, ge=1, description="width of the layers of the generator")
    final_rate: float = Field(0.1, ge=0, le=1, description="part of the rates left at the end")
    evaluate_games: int = Field(8, ge=2, description="games of a measurement")


@dataclass(frozen=True)
class LearnerRow:
    """One learner: `module` and `symbol` say where it is; `iterations` is its default.

    `objective` says which games it is for: those of a team, or those where everybody plays for
    oneself, of which it learns an equilibrium.
    """

    name: str
    config: type[LearnerConfig]
    summary: str
    requires: str
    reference: str
    module: str
    symbol: str
    iterations: int
    objective: Literal["team", "nash"] = "team"


LEARNERS: dict[str, LearnerRow] = {
    row.name: row
    for row in (
        LearnerRow(
            "mf_ppo",
            PolicyConfig,
            "one policy of own state and law for all agents, by PPO or through the simulator",
            "a team; no rate is proved for networks",
            "Li et al. 2021, arXiv 2105.08268",
            "mfdsl.runtime.learning.policy_gradient",
            "shared_policy",
            300,
        ),
        LearnerRow(
            "m3f_ppo",
            PlannerConfig,
            "a planner that sees laws and hands out decision rules, with majors",
            "a team; no rate is proved for networks",
            "Cui et al. 2024, arXiv 2303.10665",
            "mfdsl.runtime.learning.policy_gradient",
            "lifted_policy",
            300,
        ),
        LearnerRow(
            "ippo",
            IndependentConfig,
            "a baseline: PPO where every agent has the team's reward and a critic of its own view",
            "a team; no rate is proved for networks",
            "de Witt et al. 2020, arXiv 2011.09533",
            "mfdsl.runtime.learning.policy_gradient",
            "shared_policy",
            300,
        ),
        LearnerRow(
            "mappo",
            CentralConfig,
            "a baseline: PPO with one critic of all agents' own values, for a fixed number of them",
            "a team; no rate is proved for networks",
            "Yu et al. 2022, arXiv 2103.01955",
            "mfdsl.runtime.learning.policy_gradient",
            "shared_policy",
            300,
        ),
        LearnerRow(
            "maddpg",
            MaddpgConfig,
            "a baseline off-policy: a local actor climbs a critic of all agents, from a replay",
            "a team of one population with one action: finite, or shares that add up to 1",
            "Lowe et al. 2017, arXiv 1706.02275; critics of Li et al. 2021, arXiv 2105.08268",
            "mfdsl.runtime.learning.off_policy",
            "OffPolicy",
            500,
        ),
        LearnerRow(
            "gd_mfrl",
            GeneratedConfig,
            "a generator draws the law that a policy answers; an auditor judges both",
            "one population whose members can have weights; no rate is proved for networks",
            "Perrin et al. 2021, arXiv 2105.07933; Cao et al. 2021, arXiv 2002.04112",
            "mfdsl.runtime.learning.generated.learner",
            "GeneratedField",
            20,
            "nash",
        ),
        LearnerRow(
            "ppo_nash",
            GameConfig,
            "PPO for oneself: one network for all agents, one that knows who they are, or one each",
            "a game; no rate is proved for networks",
            "de Witt et al. 2020, arXiv 2011.09533; networks of Yardim and He, arXiv 2408.15173",
            "mfdsl.runtime.learning.game_ppo",
            "game_policy",
            300,
            "nash",
        ),
        LearnerRow(
            "mf_q",
            MeanFieldConfig,
            "a baseline: values of own actions while the others do their mean; Boltzmann policy",
            "a game of one population with one finite action",
            "Yang et al. 2018, arXiv 1802.05438",
            "mfdsl.runtime.learning.mean_field_q",
            "mean_field_q",
            300,
            "nash",
        ),
        LearnerRow(
            "mf_ac",
            MeanFieldConfig,
            "a baseline: a policy of own states that climbs the values of mf_q",
            "a game of one population with one finite action",
            "Yang et al. 2018, arXiv 1802.05438",
            "mfdsl.runtime.learning.mean_field_q",
            "mean_field_actor_critic",
            300,
            "nash",
        ),
    )
}
