"""Options of the solvers of tables. It never imports torch."""

from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mfdsl.runtime.solvers.config import Config

FEWEST_TO_ADAPT = 2


def at_most_all(rate: float, info: ValidationInfo) -> float:
    """A step that forgets no more than all of the old policy."""
    if rate * info.data.get("temperature", 0) > 1:
        raise ValueError("learning_rate * temperature must not exceed 1")
    return rate


class FixedPointConfig(Config):
    """Options of fixed_point."""

    damping: float = Field(
        0.0, ge=0, lt=1, description="weight kept on the old policy, state by state"
    )
    temperature: float = Field(
        0.0, ge=0, description="0: greedy best response; otherwise softmax of its values / this"
    )
    ties: Literal["share", "first"] = Field(
        "share", description="equal values: share the probability, or take the first action"
    )


class FictitiousPlayConfig(Config):
    """Options of fictitious_play."""

    weight: float = Field(
        0.0, ge=0, le=1, description="weight of the new response; 0: 1 / (k + 1) at iteration k"
    )
    ties: Literal["share", "first"] = Field(
        "share", description="equal values: share the probability, or take the first action"
    )


class MirrorDescentConfig(Config):
    """Options of omd."""

    learning_rate: float = Field(
        0.0,
        ge=0,
        description="step on the summed values; 0: adaptive, starts at 1, grows by a tenth "
        "while exploitability falls, halves when it rises",
    )
    temperature: float = Field(
        1.0, gt=0, description="the policy is the softmax of the summed values / this"
    )


class PolicyIterationConfig(Config):
    """Options of policy_iteration."""

    temperature: float = Field(
        0.0, ge=0, description="0: greedy improvement; otherwise softmax of the values / this"
    )
    damping: float = Field(
        0.0, ge=0, lt=1, description="weight kept on the old policy, state by state"
    )
    ties: Literal["share", "first"] = Field(
        "share", description="equal values: share the probability, or take the first action"
    )


class MirrorProxConfig(Config):
    """Options of mirror_prox."""

    learning_rate: float = Field(
        0.0, ge=0, description="least step; a licence sets it to 1 / modulus; 0: no least step"
    )
    growth: float = Field(
        1.5,
        ge=1,
        description="factor on the step after each iteration while the test of the proof holds; "
        "1 with a learning_rate: constant steps",
    )


class FrankWolfeConfig(Config):
    """Options of frank_wolfe."""

    step: Literal["search", "open", "short"] = Field(
        "search",
        description="search: to the top of the potential along the segment; open: 2 / (k + 2); "
        "short: exploitability / curvature",
    )
    curvature: float = Field(
        1.0, gt=0, description="bound on the curvature of the potential, for short steps"
    )


class SuccessiveAveragesConfig(Config):
    """Options of successive_averages."""

    damping: float = Field(
        2.0,
        gt=0,
        description="c: a state whose best action has turned n times steps c / (c + 1 + n)",
    )
    patience: int = Field(
        50, ge=0, description="iterations without a new best policy, then blocks move one by one"
    )


class PolicyMirrorDescentConfig(Config):
    """Options of pmd."""

    temperature: float = Field(
        0.05, gt=0, description="price of entropy; the bias is at most this * H * log|A|"
    )
    learning_rate: float = Field(
        0.0, ge=0, description="step at every iteration; 0: 4 / (temperature (k + 4))"
    )

    @field_validator("learning_rate")
    @classmethod
    def _keeps_probabilities(cls, rate: float, info: ValidationInfo) -> float:
        return at_most_all(rate, info)


class SoftFixedPointConfig(Config):
    """Options of soft_fixed_point."""

    temperature: float = Field(
        1.0, gt=0, description="price of entropy; the bias is at most this * H * log|A|"
    )
    damping: float = Field(
        0.0, ge=0, lt=1, description="weight kept on the old policy, state by state"
    )


class MunchausenConfig(Config):
    """Options of munchausen_omd."""

    temperature: float = Field(
        1.0, gt=0, description="the policy is the softmax of its values / this; steps are 1 / this"
    )


class SocialGradientConfig(Config):
    """Options of social_gradient."""

    seed: int = Field(
        0, ge=0, description="0: start at the uniform policy; otherwise at one drawn with this seed"
    )


class PriorDescentConfig(Config):
    """Options of prior_descent."""

    temperature: float = Field(
        0.0,
        ge=0,
        description="eta, the price of leaving the prior: the policy is prior * exp(Q / eta); 0: "
        "adaptive, starts at 1, rises where responses do not settle and falls where they do",
    )
    inner: int = Field(
        10, ge=0, description="iterations after which the policy is the new prior; 0: never"
    )
    response: Literal["best", "soft"] = Field(
        "best",
        description="best: softmax of the best response's values over the prior; soft: the best "
        "response where relative entropy to the prior is paid",
    )

    @field_validator("inner")
    @classmethod
    def _long_enough_to_adapt(cls, inner: int, info: ValidationInfo) -> int:
        if inner < FEWEST_TO_ADAPT and info.data.get("temperature") == 0:
            raise ValueError(
                "an adaptive temperature looks at several responses to one prior: take inner of 2 "
                "or more, or name a temperature"
            )
        return inner


class OccupationOptimisationConfig(Config):
    """Options of mf_omo."""

    route: Literal["auto", "path", "gradient"] = Field(
        "auto",
        description="path: Newton's method along a path to an equilibrium, exact but with matrices "
        "of states; gradient: Adam on the objective; auto: path where it is affordable and no "
        "option of Adam is given",
    )
    offset: float = Field(1.0, gt=0, description="least gap at the start of the path")
    start: Literal["auto", "flow", "even"] = Field(
        "auto",
        description="where Adam begins. flow: at the flow of the uniform policy; even: at all "
        "states alike; auto: the better one after some steps, flow in large games",
    )
    learning_rate: float = Field(0.1, gt=0, description="first step of Adam")
    updates: int = Field(10, ge=1, description="steps of Adam in each iteration")
    flow_weight: float = Field(1.0, gt=0, description="weight of the flow equations, c1")
    value_weight: float = Field(1.0, gt=0, description="weight of the Bellman equations, c2")
    gap_weight: float = Field(1.0, gt=0, description="weight of the gaps of actions played, c3")
    balance: int = Field(
        0, ge=0, description="iterations after which c1 and c2 follow the residuals; 0: never"
    )
    patience: int = Field(
        100, ge=1, description="steps without a new low of the objective, then they halve"
    )

    @property
    def descends(self) -> str | None:
        """An option of gradient steps that differs from what it is by itself."""
        fields = type(self).model_fields
        changed = (n for n, field in fields.items() if getattr(self, n) != field.default)
        return next((n for n in changed if n not in ("route", "offset")), None)

    @model_validator(mode="after")
    def _options_of_the_route(self) -> Self:
        offset = self.offset != type(self).model_fields["offset"].default
        if offset and (self.route == "gradient" or self.descends is not None):
            raise ValueError("`offset` is an option of route=path")
        if self.route == "path" and self.descends is not None:
            raise ValueError(f"`{self.descends}` is an option of route=gradient")
        return self


class OccupationInclusionConfig(Config):
    """Options of mf_omi."""

    learning_rate: float = Field(
        0.0,
        ge=0,
        description="constant forward-backward steps; 0: golden ratio steps, which find their size",
    )
    perturbation: float = Field(
        0.0, ge=0, description="eta: makes the rewards strongly monotone, at the price of a bias"
    )


class ParticleSwarmConfig(Config):
    """Options of mf_pso."""

    particles: int = Field(64, ge=2, description="policies in the swarm")
    inertia: float = Field(0.7298, ge=0, lt=1, description="part of the velocity that is kept")
    personal: float = Field(1.49618, ge=0, description="largest pull of the own best place")
    social: float = Field(1.49618, ge=0, description="largest pull of the best place of all")
    spread: float = Field(
        1.0, gt=0, description="standard deviation of logits and velocities at the start"
    )
    limit: float = Field(30.0, gt=0, description="largest absolute logit")
    seed: int = Field(0, ge=0, description="of all draws")
