"""Games of several populations through all checks: certificates and warnings of each player."""

from mfdsl.compiler.driver import Compilation, compile_text

CHASE = """model chase

enum Kind {{ small, large }}

objective nash
horizon 10

population hawk as mu {{
  state  x : int in 0..3 ~ uniform
  action u : int in 0..3
  noise  gust : bool ~ bernoulli(0.5)
  let crowd = {crowd}
  x' = {step}
  cost hunger = x + crowd
  {claim}
}}

population mouse[k in Kind] {{
  state  x : int in 0..3 ~ uniform
  action u : int in 0..3
  x' = u
  reward distance = x
  require reward in [0, 3]
}}
"""


def chase(
    crowd: str = "prob(q.x == x for q in mouse[small])",
    step: str = "if gust then u else x",
    claim: str = "",
) -> Compilation:
    return compile_text(CHASE.format(crowd=crowd, step=step, claim=claim))


def test_every_player_has_its_certificates() -> None:
    found = chase().certificates
    names = ["hawk", "mouse[small]", "mouse[large]"]
    assert [c.subject for c in found if c.claim == "symmetry"] == names
    laws = [c.subject for c in found if c.claim == "normalised"]
    assert laws == ["2 laws of hawk", "1 laws of mouse[small]", "1 laws of mouse[large]"]
    ranges = {c.subject: (c.lower, c.upper) for c in found if c.claim == "range"}
    assert ranges["reward of hawk"] == (-4.0, 0.0)
    assert ranges["reward of mouse[large]"] == (0.0, 3.0)


def test_a_claim_inside_a_block_is_about_its_reward() -> None:
    assert chase(claim="require reward in [-4, 0]").ok
    failed = chase(claim="require reward in [-2, 0]")
    assert [d.code for d in failed.diagnostics] == ["MFG511"]


def test_a_claim_about_the_reward_of_several_players_needs_a_block() -> None:
    text = CHASE.format(crowd="mu[x]", step="if gust then u else x", claim="")
    found = compile_text(text + "require reward in [-4, 3]\n")
    assert [d.code for d in found.diagnostics] == ["MFG103"]


def test_what_nobody_reads_is_named_once() -> None:
    found = chase(crowd="mu[x]", step="u").diagnostics
    assert [(d.code, d.message) for d in found] == [("MFG801", "`gust` is never used")]


def test_a_let_that_another_player_reads_is_used() -> None:
    text = CHASE.format(crowd="mu[x]", step="if gust then u else x", claim="let bold = u == 3")
    text = text.replace(
        "reward distance = x\n", "reward distance = x - prob(q.bold for q in hawk)\n"
    )
    text = text.replace("[0, 3]", "[-1, 3]")
    assert compile_text(text).diagnostics == ()


def test_a_game_whose_players_never_meet_is_noticed() -> None:
    found = chase(crowd="u").diagnostics
    assert [d.code for d in found] == ["MFG803"]


def test_players_that_only_read_another_population_do_meet() -> None:
    assert chase().diagnostics == ()
