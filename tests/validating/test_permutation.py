"""The permutation test of emitted simulators: no false alarm, and every injected bug found."""

from pathlib import Path

import pytest
import torch

import mfdsl
from mfdsl.runtime.agents import AgentProgram, load_agents
from mfdsl.validating.counterexample import Counterexample
from mfdsl.validating.permutation import (
    Effort,
    equivariance,
    equivariance_certificate,
    permutation_certificates,
    situations,
)
from mfdsl.validating.situations import broken, outputs
from mfdsl.validating.table import before_after

SPECS = sorted(p.stem for p in (Path(__file__).resolve().parents[2] / "specs").glob("*.mfg"))
WEIGHTED = {"weighted_rps"}  # its rewards read weights between agents: not symmetric by design

EPIDEMIC = """model epidemic

param beta : real in [0, 1] = 0.8

enum Health { S, I }
enum Choice { out, home }

objective nash
horizon 5

environment weather {
  state sun : int in 0..1 ~ uniform
  sun' ~ mix { 0.5 -> 1, else -> sun }
}

population person {
  state  h : Health ~ uniform
  action a : Choice
  let exposure = mean(ind(q.h == I) for q in person)
  h' ~ if a == home then S else mix { beta * exposure -> I, else -> S }
  reward ill = -exposure * ind(h == I)
}
"""
COUNT = "s.person.h.shape[1]"
MEAN = "exposure = part.to(p.unit).mean(1)"
LINE = f"(torch.arange({COUNT}) + 1)"
EXPOSED = "(1.0 - p.beta * exposure)[..., None]"
ONE_BY_ONE = (
    (EXPOSED, "1.0 - p.beta[..., None] * exposure"),
    ("(-exposure)[..., None]", "-exposure"),
)

# What is written in place of what, and the smallest number of agents in which it shows.
BUGS: dict[str, tuple[tuple[tuple[str, str], ...], int, str]] = {
    "a coefficient of each agent": (
        ((EXPOSED, f"(1.0 - p.beta * exposure)[..., None] - 0.02 * {LINE}"),),
        2,
        "next h",
    ),
    "a coefficient that hardly differs": (
        ((EXPOSED, f"(1.0 - p.beta * exposure)[..., None] - 1e-7 * {LINE}"),),
        2,
        "threshold of draw h_next",
    ),
    "neighbours on a ring": (
        (
            (MEAN, "exposure = (part.roll(1, 1) | part.roll(-1, 1)).to(p.unit)"),
            *ONE_BY_ONE,
        ),
        4,
        "next h",
    ),
    "a ring in one direction": (
        ((MEAN, "exposure = part.roll(1, 1).to(p.unit)"), *ONE_BY_ONE),
        3,
        "next h",
    ),
    "a running mean in the order of agents": (
        ((MEAN, f"exposure = part.to(p.unit).cumsum(1) / {LINE}"), *ONE_BY_ONE),
        2,
        "next h",
    ),
    "ties that go to the first agent": (
        (
            (
                "* part.to(p.unit)  #",
                "* part.to(p.unit) + ({0} == part.long().argmax(1, keepdim=True) + 1)  #".replace(
                    "{0}", LINE
                ),
            ),
        ),
        2,
        "reward",
    ),
    "draws of somebody else": (
        (("<= z.person.h_next", "<= z.person.h_next.flip(1).roll(1, 1)"),),
        3,
        "next h",
    ),
    "an environment that sees the first agent": (
        (("sun_next = (", "sun_next = s.person.h[:, 0] * ("),),
        2,
        "weather.next sun",
    ),
    "an observation of the first agent": (
        (('"h": h, ', '"h": h[:, :1].expand_as(h), '),),
        2,
        "observe h",
    ),
    "a start that depends on the place": (
        (
            (
                "person=Person(h),",
                f"person=Person(h * (torch.arange({COUNT.replace('s.', 'z.')}) % 2)),",
            ),
        ),
        2,
        "h at t = 0",
    ),
}


CORRIDOR = """model corridor

objective nash
horizon 3

population person {
  state  x : int in 0..2 ~ uniform
  action a : int in -1..1 where x + a >= 0 and x + a <= 2
  x' = x + a
  reward crowd = -mean(ind(q.x == x) for q in person)
  final reward end = -x
}
"""
PLACE = "(torch.arange(s.person.x.shape[1]) + 1)"


def infected(replacements: tuple[tuple[str, str], ...], spec: str = EPIDEMIC) -> AgentProgram:
    """The emitted module of a game with some of its text replaced."""
    game = mfdsl.load(text=spec)
    text = game.emit("agents")
    for old, new in replacements:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    return load_agents(text, game.model, game.name)


def refuted(program: AgentProgram, effort: Effort | None = None) -> Counterexample:
    found = equivariance(program, "person", effort).counterexample
    assert found is not None
    return found


@pytest.mark.parametrize("name", SPECS)
def test_shipped_games_treat_agents_alike(name: str) -> None:
    program = mfdsl.load(name).agents
    found = permutation_certificates(program, Effort(trials=2, batch=8, steps=3, agents=5))
    assert [c.claim for c in found] == [
        f"equivariant({program.names[f]})" for f in program.populations
    ]
    for certificate in found:
        wanted = "refuted" if name in WEIGHTED else "tested"
        assert (certificate.verdict, certificate.rigor) == (wanted, "samples"), certificate.detail


@pytest.mark.parametrize("bug", BUGS)
def test_an_injected_bug_is_found_in_the_first_trial_and_shrunk(bug: str) -> None:
    replacements, agents, name = BUGS[bug]
    program = infected(replacements)
    found = refuted(program, Effort(trials=1))
    assert len(found.order) == agents
    assert len(found.moved) == 2
    assert name in found.sentence
    assert broken(program, program.params(), found.situation, found.field, found.order[None])


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("person=((-s.person.x)", f"person=((-s.person.x * {PLACE})", "final reward"),
        ("(part <= 2)", f"(part * {PLACE} <= 2)", "legal actions"),
        ("crowd = -_look_up(", f"crowd = (a.person.a == -1) * {PLACE} * _look_up(", "reward"),
    ],
)
def test_masks_and_final_rewards_are_compared_and_kept(old: str, new: str, name: str) -> None:
    found = refuted(infected(((old, new),), CORRIDOR), Effort(trials=1))
    assert found.names[0][1] == name
    assert len(found.order) == 2
    x = found.situation.groups["state"].person.x
    a = found.situation.groups["action"].person.a
    assert ((x + a >= 0) & (x + a <= 2)).all()


def test_the_untouched_epidemic_passes() -> None:
    outcome = equivariance(infected(()), "person", Effort(trials=8, batch=128))
    assert outcome.counterexample is None
    assert (outcome.games, outcome.rounded) == (1024, 0)
    certificate = equivariance_certificate(outcome)
    assert certificate.verdict == "tested"
    assert "1024 games of 8 agents" in (certificate.detail or "")
    assert "fewer than 0.29%" in (certificate.detail or "")


def test_a_counterexample_is_a_game_with_named_values() -> None:
    replacements, _, _ = BUGS["a running mean in the order of agents"]
    outcome = equivariance(infected(replacements), "person", Effort(trials=1))
    certificate = equivariance_certificate(outcome)
    assert certificate.verdict == "refuted"
    assert certificate.detail == (
        "swapping agents 0 and 1 of person does not swap next h (2 agents, t = 0)"
    )
    witness = certificate.witness
    assert witness is not None
    assert witness["swap"] == "0 1"
    assert [witness[f"person.h[{i}]"] for i in (0, 1)] == [1, 0]
    assert [witness[f"person.h_next draw[{i}]"] for i in (0, 1)] == [0.5, 0.5]
    assert witness["after person.next h[1]"] != witness["expected person.next h[1]"]
    assert outcome.counterexample is not None
    assert before_after(outcome.counterexample) == RUNNING_MEAN


RUNNING_MEAN = """\
swapping agents 0 and 1 of person does not swap next h (2 agents, t = 0):

                before            |  after             |  expected
                agent 0  agent 1  |  agent 0  agent 1  |  agent 0  agent 1
h               I        S        |  S        I        |
a               out      out      |  out      out      |
draw of h_next  0.5      0.5      |  0.5      0.5      |
next h          I        S        |  S        S        |  S        I
reward          -1       0        |  0        -0.5     |  0        -1

weather.sun = 0
weather.draw of sun_next = 0.5
"""


def test_rounding_at_a_threshold_is_not_called_a_bug() -> None:
    drawn = "z.person.h_next"
    late = f"({drawn}.sum(1) > {drawn}.sort(1).values.sum(1)).to(p.unit)[..., None]"
    outcome = equivariance(infected((("(-exposure)[..., None]", late),)), "person")
    assert outcome.counterexample is None
    assert outcome.rounded > 10
    certificate = equivariance_certificate(outcome)
    assert f"{outcome.rounded} differ by rounding at a threshold" in (certificate.detail or "")


def test_agents_of_files_keep_their_number_and_are_shown_in_part() -> None:
    found = refuted_weights()
    assert len(found.order) == 12
    assert len(found.moved) == 2
    table = before_after(found)
    assert "more agents are not shown" in table
    for i in found.moved:
        assert f"agent {i}" in table


def refuted_weights() -> Counterexample:
    found = equivariance(mfdsl.load("weighted_rps").agents, "player").counterexample
    assert found is not None
    return found


def test_what_cannot_be_tested_is_refused() -> None:
    program = infected(())
    with pytest.raises(ValueError, match="no population 'nobody'"):
        equivariance(program, "nobody")
    with pytest.raises(ValueError, match="nothing to compare"):
        equivariance(program, "person", Effort(agents=1))
    with pytest.raises(ValueError, match="needs the model"):
        equivariance(load_agents(program.text), "person")


def test_single_precision_is_refused() -> None:
    program = infected(())
    with pytest.raises(ValueError, match="needs float64"):
        equivariance(program, "person", params=program.params(dtype=torch.float32))


def test_thresholds_of_draws_are_probabilities() -> None:
    program = infected(())
    params = program.params()
    *_, stage = situations(program, params, {"person": 4}, 16, 1, seed=0, late=False)
    found = outputs(program, params, stage)["person", "threshold of draw h_next"]
    state, action = stage.groups["state"].person.h, stage.groups["action"].person.a
    ill = 0.8 * state.double().mean(1, keepdim=True).expand(16, 4)
    expected = torch.where((action == 1) | (ill == 0), 1.0, 1 - ill)
    assert torch.allclose(found, expected, atol=1e-11, rtol=0)


def test_the_same_seed_gives_the_same_counterexample() -> None:
    program = infected(BUGS["a coefficient of each agent"][0])
    assert refuted(program).witness == refuted(program).witness
    assert torch.equal(refuted(program).order, torch.tensor([1, 0]))
