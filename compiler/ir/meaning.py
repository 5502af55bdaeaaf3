"""The meaning of a whole game by enumeration: laws, kernels, rewards and masks as dictionaries."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mfdsl.compiler.ir.interpret import Environment, Law, Number, Values, combinations, evaluate
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import given, reachable

Parameters = Mapping[str, Number | Sequence[float]]


def joint_states(model: Model) -> list[Values]:
    """All joint states, the last variable varying fastest."""
    return combinations(model, [s.type for s in model.population.states])


def joint_actions(model: Model) -> list[Values]:
    """All joint actions, the last variable varying fastest."""
    return combinations(model, [a.type for a in model.population.actions])


def initial_law(model: Model, parameters: Parameters | None = None) -> dict[Values, float]:
    """Probability of each joint state at t = 0."""
    law = {}
    for state in joint_states(model):
        environment = Environment(_states(model, state), parameters=parameters or {})
        mass = 1.0
        for variable in model.population.states:
            mass *= evaluate(model, given(variable.initial), environment) if mass else 1.0
        law[state] = mass
    return law


def outcomes(
    model: Model, t: int, law: Law, state: Values, action: Values, parameters: Parameters
) -> list[tuple[Environment, float]]:
    """Each joint noise outcome that can occur, with its probability."""
    found = [(Environment(_own(model, state, action), t, parameters, law), 1.0)]
    for noise in model.population.noises:
        longer = []
        for environment, mass in found:
            for (value,) in combinations(model, [noise.type]):
                drawn = replace(environment, own={**environment.own, ("noise", noise.name): value})
                weight = evaluate(model, given(noise.density), drawn)
                if weight:
                    longer.append((drawn, mass * weight))
        found = longer
    return found


def kernel_row(
    model: Model,
    t: int,
    law: Law,
    state: Values,
    action: Values,
    parameters: Parameters | None = None,
) -> dict[Values, float]:
    """Law of the next joint state of one member."""
    row: dict[Values, float] = {}
    for environment, mass in outcomes(model, t, law, state, action, parameters or {}):
        after = tuple(
            int(evaluate(model, given(variable.next), environment))
            for variable in model.population.states
        )
        row[after] = row.get(after, 0.0) + mass
    return row


def reward_terms(
    model: Model,
    t: int,
    law: Law,
    state: Values,
    action: Values,
    parameters: Parameters | None = None,
) -> dict[str, float]:
    """Each named reward of one member at a decision stage, averaged over the noise it reads."""
    terms = [term for term in model.population.rewards if not term.final]
    read = {term.name for term in terms if _reads_noise(model, term.node)}
    drawn = outcomes(model, t, law, state, action, parameters or {}) if read else []
    still = [(Environment(_own(model, state, action), t, parameters or {}, law), 1.0)]
    return {
        term.name: sum(
            mass * evaluate(model, term.node, environment)
            for environment, mass in (drawn if term.name in read else still)
        )
        for term in terms
    }


def reward(
    model: Model,
    t: int,
    law: Law,
    state: Values,
    action: Values,
    parameters: Parameters | None = None,
) -> float:
    """The sum of `reward_terms`."""
    return sum(reward_terms(model, t, law, state, action, parameters).values())


def final_reward(
    model: Model,
    t: int,
    law: Mapping[Values, float],
    state: Values,
    parameters: Parameters | None = None,
) -> float:
    """The reward paid at t = T; `law` is the law of the states there."""
    joint: dict[tuple[Values, Values], float] = {(v, ()): mass for v, mass in law.items()}
    environment = Environment(_states(model, state), t, parameters or {}, joint)
    terms = (term for term in model.population.rewards if term.final)
    return float(sum(evaluate(model, term.node, environment) for term in terms))


def legal(
    model: Model, t: int, state: Values, action: Values, parameters: Parameters | None = None
) -> bool:
    """Whether the mask allows `action` in `state`."""
    population = model.population
    if population.legal is None:
        return True
    environment = Environment(_own(model, state, action), t, parameters or {})
    return bool(evaluate(model, population.legal, environment))


def push(
    model: Model, t: int, law: Law, parameters: Parameters | None = None
) -> dict[Values, float]:
    """Law of the states one stage later when the joint law is `law`."""
    after = dict.fromkeys(joint_states(model), 0.0)
    for (state, action), mass in law.items():
        if mass:
            row = kernel_row(model, t, law, state, action, parameters)
            for value, weight in row.items():
                after[value] += mass * weight
    return after


def _states(model: Model, state: Values) -> dict[tuple[str, str], int]:
    names = [("state", s.name) for s in model.population.states]
    return dict(zip(names, state, strict=True))


def _own(model: Model, state: Values, action: Values) -> dict[tuple[str, str], int]:
    names = [("action", a.name) for a in model.population.actions]
    return _states(model, state) | dict(zip(names, action, strict=True))


def _reads_noise(model: Model, root: int) -> bool:
    return any(model.nodes[k].op == "noise" for k in reachable(model.nodes, [root]))
