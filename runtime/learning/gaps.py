"""How much one agent gains by leaving a learned policy: exactly by tables, or at least.

`exact_gap` reads a policy off at every place of the tables of its game. `learned_gap` learns a best
response against the policy and reports what it gains as a lower bound, whose error is known and
whose distance from the exploitability is not.
"""

from collections.abc import Mapping

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.exploitability import Exploitability, Response, lower_bound
from mfdsl.runtime.learning.answers import Budget, Found
from mfdsl.runtime.learning.base import Lesson, LessonError
from mfdsl.runtime.learning.best_response import learned_response, steps_of
from mfdsl.runtime.learning.chances import answer_chances
from mfdsl.runtime.learning.deviators import Arena, arena_of, knowing, steep
from mfdsl.runtime.learning.judges import judged
from mfdsl.runtime.learning.placed import (
    MOST_ENTRIES,
    Chances,
    Tables,
    followed_by,
    observes_means,
    read_off,
)
from mfdsl.runtime.learning.sight import Sight, model_of, sights_of
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.simulator import Simulator

__all__ = ["Budget", "exact_gap", "gain_in_tables", "learned_gap", "responses_to", "tables_for"]


def tables_for(lesson: Lesson) -> Tables | None:
    """The tables in which a policy of this lesson can be judged, None where there are none.

    A policy must not read means that the spec lets it observe, its table must fit, and pasts must
    be told from common states.
    """
    tables = None if lesson.tables is None else lesson.tables()
    if tables is None or observes_means(tables.model):
        return None
    if tables.reduced.past is not None and not tables.reduced.past.told:
        return None
    stages = tables.tables.horizon or 1
    return tables if tables.entries(stages) <= MOST_ENTRIES else None


def exact_gap(lesson: Lesson, probabilities: Chances) -> Exploitability | None:
    """The exploitability of a policy by the tables of its game, None where `tables_for` has none.

    `probabilities` are asked for stage after stage, with one agent at each place and the law of the
    policy itself as masses (`placed.py`); `chances.py` has those of networks. On grids the figure
    is an estimate, of the policy and the game on the grid.

    Raises:
        ValueError: the policy reads a stationary law and keeps none.
    """
    tables = tables_for(lesson)
    if tables is None:
        return None
    view = tables.view
    if tables.entries(view.uniform().stages) > MOST_ENTRIES:
        return None
    return Evaluation(view, read_off(tables, view, probabilities)).exploitability


def learned_gap(
    lesson: Lesson,
    behaviour: Behaviour,
    *,
    agents: int | Mapping[str, int] | None = None,
    games: int = 16,
    seed: int = 0,
    budget: Budget | None = None,
) -> Exploitability:
    """What the players gain at least by leaving `behaviour`, one kind of player after another.

    N `agents` play the behaviour in each of `games`; further ones of weight 0 learn a response
    (one player of each game, where members have no weights, and for majors). The gain is that over
    players with the same draws who stay, in fresh games, of the first steps where games have no
    end. Where rewards are smooth in the law the players who are judged have weight 0 as well, and
    the same response is judged beside N / 2, too: gains beside N are off by c / N, so that both
    tell the limit. Else (`steep`) one player of N is judged, who counts as everybody does, and the
    figure is about the game of N, which may be far from its limit. `value` is the lower end of the
    interval of 95 % of the gain beside N, or of that of the limit where this is lower, at least 0.

    Raises:
        LessonError: nobody acts.
        SimulationError: a size is out of range, or the machine has too little memory.
    """
    responses = responses_to(
        lesson, behaviour, agents=agents, games=games, seed=seed, budget=budget
    )
    return lower_bound([response for _, response in responses])


def responses_to(
    lesson: Lesson,
    behaviour: Behaviour,
    *,
    agents: int | Mapping[str, int] | None = None,
    games: int = 16,
    seed: int = 0,
    budget: Budget | None = None,
    knows: bool = False,
) -> list[tuple[Found, Response]]:
    """The learned responses of all players that act, and what they gain; as in `learned_gap`.

    With `knows` deviators know their own traits, also those that the policy does not see.

    Raises:
        LessonError: nobody acts.
    """
    plan = Budget() if budget is None else budget
    program, params = lesson.program, lesson.params
    sizes = Simulator(program, params, agents=agents, batch=games, seed=seed).agents
    halves = {name: max(1, number // 2) for name, number in sizes.items()}
    found = []
    for usual in sights_of(program):
        sight = knowing(usual, model_of(program)) if knows else usual

        def arena(
            weighted: AgentProgram | None, numbers: Mapping[str, int], sight: Sight = sight
        ) -> Arena:
            return arena_of(
                program,
                weighted,
                params,
                behaviour,
                sight,
                agents=numbers,
                games=games,
                deviators=plan.deviators,
                steps=steps_of(program, plan),
                seed=seed,
            )

        learns = arena(lesson.weighted, sizes)
        judge = arena(None, sizes) if steep(model_of(program)) else learns
        half = arena(lesson.weighted, halves) if judge.shadows is not None else None
        answer = learned_response(learns, judge, plan, seed)
        found.append((answer, judged(judge, half, answer, plan)))
    if not found:
        raise LessonError(f"nobody acts in {program.name}, so nobody can deviate")
    return found


def gain_in_tables(tables: Tables, policy: TabularPolicy, found: Found) -> float:
    """What a learned response gains in the limit, by the tables of the game.

    Everybody else follows `policy`; the value is that against its exact flow, so that it never
    exceeds the exploitability there. One agent of a population gains so much.
    """
    view, sight = tables.view, found.answer.sight
    flow = view.flow(policy)
    answer = followed_by(tables, policy, flow, answer_chances(found, tables))
    stays = view.values(flow, view.q_values(flow, policy), policy)
    leaves = view.values(flow, view.q_values(flow, answer), answer)
    names = list(tables.tables.populations)
    column = names.index(sight.player) if tables.reduced.who is not None else 0
    return float((leaves - stays)[0, column])
