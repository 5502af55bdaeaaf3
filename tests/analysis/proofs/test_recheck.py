"""Proofs hold when checked again, and every way to tamper with them is seen."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import mfdsl
from mfdsl import proofs
from mfdsl.compiler.analysis import balls
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.proofs import replay
from mfdsl.compiler.analysis.proofs.archive import Archive, keeping
from mfdsl.compiler.analysis.proofs.packing import PackingError, pack, unpack
from mfdsl.compiler.analysis.proofs.proof import Claimed, Proof, Searched, model_hash
from mfdsl.compiler.analysis.proofs.recheck import Rechecked, WrongModelError, recheck
from mfdsl.compiler.analysis.proofs.tree import EMPTY, LEAF
from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.analysis.regularity import regularity
from mfdsl.compiler.analysis.slopes import problem, value
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir.model import Model

HOLDS = {
    "laws": ("beach_bar", "lipschitz(reward, mu)"),
    "kernel": ("sis", "lipschitz(dynamics, mu)"),
    "many boxes": ("crowd", "lipschitz(dynamics, mu)"),
    "infeasible boxes": ("small", "lipschitz(mixed, mu)"),
    "points": ("lq_game", "lipschitz(dynamics, agent)"),
    "vector": ("m3fc_2g", "lipschitz(reward, drone)"),
    "two populations": ("routing", "flow[cars]: lipschitz(dynamics, flow[vans])"),
    "pairs": ("beach_bar", "lipschitz(reward, a)"),
    "jump": ("small", "lipschitz(broken, mu)"),
    "meeting branches": ("small", "lipschitz(bent, mu)"),
}


SMALL = """\
model small
param n : int in 2..20 = 3
objective nash
horizon 4
population walker as mu {
  state  x : int in 0..n - 1 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  reward mixed  = mu[0] * mu[1] * exp(-mu[0])
  reward broken = if mu[0] > 0.5 then 1 else 0
  reward bent   = if mu[1] > 0.25 then 2 * mu[1] else mu[1] + 0.25
  agents 100
}
"""


@lru_cache
def model_of(name: str, **values: float) -> Model:
    if name == "small":
        return compile_text(SMALL).require_model()
    return mfdsl.load(name, params=dict(values)).model


@lru_cache
def proof_of(name: str, question: str, whole_box: bool = False) -> Proof:
    """The proof of the answer to a question, written and read again."""
    model, archive = model_of(name), Archive()
    with keeping(archive):
        (answer,) = answers(model, question, seconds=1.0, whole_box=whole_box)
    (claimed,) = archive.claims
    folded = {"assumptions": answer.assumptions}
    assert claimed.certificate.model_copy(update=folded) == answer
    claimed = claimed.model_copy(update={"certificate": answer})
    proof = Proof(
        version="0",
        name=name,
        model=model_hash(model),
        parameters={},
        whole_box=whole_box,
        claims=(claimed,),
    )
    again = Proof.model_validate_json(proof.model_dump_json())
    assert again == proof
    return again


def checked(name: str, proof: Proof, rules: tuple[Certificate, ...] = ()) -> Rechecked:
    (row,) = recheck(model_of(name), proof, rules)
    return row


def with_claim(proof: Proof, **changes: Any) -> Proof:
    return proof.model_copy(update={"claims": (proof.claims[0].model_copy(update=changes),)})


def with_certificate(proof: Proof, **changes: Any) -> Proof:
    return with_claim(proof, certificate=proof.claims[0].certificate.model_copy(update=changes))


def with_search(proof: Proof, **changes: Any) -> Proof:
    """With the searches changed that have a tree."""
    searches = tuple(
        s.model_copy(update=changes) if s.cuts is not None else s for s in proof.claims[0].searches
    )
    return with_claim(proof, searches=searches)


def search_of(proof: Proof) -> Searched:
    return next(s for s in proof.claims[0].searches if s.cuts is not None)


def cuts_of(proof: Proof) -> np.ndarray:
    cuts = search_of(proof).cuts
    assert cuts is not None
    return np.array(unpack(cuts))


def nobody_searches(*arguments: object, **more: object) -> None:
    raise AssertionError("a recheck has searched")


@pytest.mark.parametrize("kind", HOLDS)
def test_proofs_hold_again_without_a_search(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, question = HOLDS[kind]
    proof = proof_of(name, question)
    assert proof.claims[0].certificate.verdict == ("refuted" if kind == "jump" else "proved")
    monkeypatch.setattr(problem, "search", nobody_searches)
    monkeypatch.setattr(value, "search", nobody_searches)
    row = checked(name, proof)
    assert row.ok, row.why
    assert row.rigor == ("balls" if balls.available() else "enclosure")


def test_constants_are_replayed_in_balls_at_once() -> None:
    pytest.importorskip("flint")
    assert proof_of(*HOLDS["laws"]).claims[0].certificate.rigor == "balls"


def test_without_the_package_a_proof_holds_by_enclosures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balls, "available", lambda: False)
    row = checked("beach_bar", proof_of(*HOLDS["laws"]))
    assert (row.ok, row.rigor) == (True, "enclosure")


def test_a_tree_has_cuts_leaves_and_boxes_without_points() -> None:
    cuts = cuts_of(proof_of(*HOLDS["many boxes"]))
    assert (cuts >= 0).sum() > 100 and (cuts == LEAF).sum() > 100
    assert (cuts_of(proof_of(*HOLDS["infeasible boxes"])) == EMPTY).any()


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda cuts: cuts[:-1], "the tree ends before its leaves"),
        (lambda cuts: np.append(cuts, LEAF), "the tree goes on after its leaves"),
        (lambda cuts: np.where(cuts == LEAF, EMPTY, cuts), "may hold a point of the domain"),
        (lambda cuts: np.where(cuts >= 0, 99, cuts), "along a coordinate that has none"),
        (lambda cuts: np.where(cuts == LEAF, -7, cuts), "a code that means nothing"),
        (lambda cuts: np.delete(cuts, (cuts == LEAF).argmax()), "tree"),
    ],
)
def test_a_tree_that_does_not_cover_is_seen(
    change: Callable[[np.ndarray], np.ndarray], why: str
) -> None:
    proof = proof_of(*HOLDS["many boxes"])
    cuts = change(cuts_of(proof)).astype(np.int16)
    row = checked("crowd", with_search(proof, cuts=pack(cuts)))
    assert not row.ok and row.why is not None and why in row.why


def test_a_leaf_that_is_too_large_is_split_a_few_times_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, question = HOLDS["infeasible boxes"]
    proof = proof_of(name, question)
    upper = proof.claims[0].certificate.upper
    assert upper is not None
    loose = {"upper": 1.05 * upper, "shares": ()}
    whole = with_search(proof, cuts=pack(np.array([LEAF], dtype=np.int16)), upper=1.05 * upper)
    row = checked(name, with_certificate(whole, **loose))
    assert row.ok, row.why
    monkeypatch.setattr(replay, "ROUNDS", 0)
    row = checked(name, with_certificate(whole, **loose))
    assert not row.ok and row.why is not None and "a box has the bound" in row.why


def test_a_lower_bound_than_the_boxes_have_is_seen() -> None:
    for kind in ("laws", "kernel", "points", "pairs"):
        name, question = HOLDS[kind]
        proof = proof_of(name, question)
        least = proof.claims[0].certificate.lower
        upper = proof.claims[0].certificate.upper
        assert upper is not None and least is not None
        row = checked(name, with_certificate(proof, upper=np.nextafter(upper, 0.0) * 0.999999))
        assert not row.ok and row.why is not None and "bound from above" in row.why
        lowered = with_search(proof, upper=least * 0.9)
        row = checked(name, with_certificate(lowered, upper=upper * 0.95, lower=None))
        assert not row.ok, kind


@pytest.mark.parametrize("end", ["lower", "upper"])
def test_a_bound_that_is_no_number_is_seen(end: str) -> None:
    proof = with_certificate(proof_of(*HOLDS["laws"]), **{end: float("nan")})
    row = checked("beach_bar", proof)
    assert not row.ok and row.why is not None and "not nan" in row.why


def test_other_words_for_a_witness_need_a_jump() -> None:
    """A bound that is left out makes no jump of what has one."""
    proof = proof_of(*HOLDS["laws"])
    row = checked("beach_bar", with_certificate(proof, upper=None, witness={"law": "another"}))
    assert row.why == "the witness is another one"


def test_a_witness_that_attains_less_is_seen() -> None:
    for kind in ("laws", "kernel", "points"):
        name, question = HOLDS[kind]
        proof = proof_of(name, question)
        lower = proof.claims[0].certificate.lower
        assert lower is not None
        row = checked(name, with_certificate(proof, lower=lower * (1 + 1e-9)))
        assert not row.ok and row.why is not None and "bound from below" in row.why
        row = checked(name, with_search(proof, attained=None))
        assert not row.ok and row.why is not None and "bound from below" in row.why


def moved_law(law: np.ndarray) -> np.ndarray:
    """Half of the mass of each kind of member, and the rest at the last."""
    found = law / 2
    found[-1] += 1 - found.sum()
    return found


@pytest.mark.parametrize(
    "change, why",
    [
        ({"laws": lambda law: law * 0.5}, "do not add up to 1"),
        ({"laws": lambda law: law[:-1]}, "is none"),
        ({"laws": lambda law: -law}, "is none"),
        ({"laws": moved_law}, ""),
        ({"to": 10**6}, "members that there are not"),
        ({"off": -1}, "members that there are not"),
        ({"shift": 2.0}, "more mass moves than there is"),
        ({"shift": 0.0}, "more mass moves than there is"),
        ({"place": (10**6,)}, "a place that there is not"),
        ({"place": ()}, "a place that there is not"),
        ({"kind": "value"}, "another kind"),
    ],
)
def test_a_witness_that_was_shifted_is_seen(change: dict[str, Any], why: str) -> None:
    proof = proof_of(*HOLDS["laws"])
    attained = search_of(proof).attained
    assert attained is not None
    if "laws" in change:
        laws = {n: pack(change["laws"](np.array(unpack(law)))) for n, law in attained.laws.items()}
        change = {"laws": laws}
    shifted = with_search(proof, attained=attained.model_copy(update=change))
    row = checked("beach_bar", shifted)
    assert not row.ok and row.why is not None and why in row.why


def test_points_outside_of_the_domain_are_seen() -> None:
    name, question = HOLDS["points"]
    proof = proof_of(name, question)
    attained = search_of(proof).attained
    assert attained is not None and attained.way is not None
    point, way = unpack(attained.point), unpack(attained.way)
    for change in (
        {"point": pack(point + 100.0)},
        {"point": pack(point[:-1])},
        {"point": pack(np.full_like(point, np.nan))},
        {"way": pack(way * 0.0)},
        {"way": pack(way[:0])},
        {"way": pack(way * np.inf)},
        {"way": None},
    ):
        shifted = with_search(proof, attained=attained.model_copy(update=change))
        assert not checked(name, shifted).ok, change


def test_a_witness_in_other_words_is_seen() -> None:
    proof = proof_of(*HOLDS["laws"])
    witness = proof.claims[0].certificate.witness
    assert witness is not None
    row = checked("beach_bar", with_certificate(proof, witness=witness | {"moving": "1 to 2"}))
    assert not row.ok and row.why == "the witness is another one"


def test_a_proof_is_of_one_model() -> None:
    proof = proof_of("sis", "lipschitz(dynamics, mu)")
    parameter = next(p for p in model_of("sis").parameters if not p.structural)
    other = model_of("sis", **{parameter.name: float(np.ravel(parameter.value)[0]) * 0.5})
    with pytest.raises(WrongModelError):
        recheck(other, proof)
    with pytest.raises(WrongModelError):
        recheck(model_of("beach_bar"), proof)


def test_a_forged_name_of_the_model_does_not_help() -> None:
    """With a steeper game under its name the boxes of a proof have larger bounds."""
    proof = proof_of(*HOLDS["kernel"])
    steeper = model_of("sis", infection=0.9)
    forged = proof.model_copy(update={"model": model_hash(steeper)})
    (row,) = recheck(steeper, forged)
    assert not row.ok and row.why is not None and "a box has the bound" in row.why


def test_the_question_is_that_of_the_model() -> None:
    proof = proof_of(*HOLDS["laws"])
    asked = proof.claims[0].asked
    assert asked is not None
    fewer = asked.model_copy(update={"terms": asked.terms[:1]})
    assert not checked("beach_bar", with_claim(proof, asked=fewer)).ok
    for changes in ({"population": None}, {"subject": "nothing"}, {"free": {"eps": (1.0, 2.0)}}):
        other = asked.model_copy(update=changes)
        row = checked("beach_bar", with_claim(proof, asked=other))
        assert row.why == "it asks about what the model does not have"
    row = checked("beach_bar", with_certificate(proof, claim="lipschitz(final, mu)"))
    assert not row.ok and row.why is not None and row.why.startswith("the proof is of")
    assert not checked("beach_bar", with_certificate(proof, norm="W1")).ok


def test_a_proof_for_one_value_is_none_for_a_whole_box() -> None:
    boxed, single = (proof_of("sis", "lipschitz(dynamics, mu)", w) for w in (True, False))
    assert checked("sis", boxed).ok
    asked = boxed.claims[0].asked
    assert asked is not None and asked.free
    assert not checked("sis", with_claim(boxed, asked=single.claims[0].asked)).ok
    assert not checked("sis", with_claim(single, asked=asked)).ok


TWO = """\
model two
objective nash
horizon 2
population a as mu {
  state  x : int in 0..1 ~ uniform
  action u : int in 0..1
  x' = u
  reward r = -mu[x]
}
population b {
  state  y : int in 0..1 ~ uniform
  action v : int in 0..1
  y' = v
  reward r = -STEEP * mu[y]
}
"""


def test_the_proof_of_one_player_is_none_of_another() -> None:
    model, archive = compile_text(TWO.replace("STEEP", "5")).require_model(), Archive()
    with keeping(archive):
        made = regularity(model)
    found = [c for c in made if c.claim == "lipschitz(reward, mu)"]
    assert [c.subject for c in found] == ["reward of a", "reward of b"]
    proof = proofs.proof_of(model, found, archive.claims, parameters={}, whole_box=False)
    assert all(row.ok for row in recheck(model, proof))
    first, second = (claimed.certificate for claimed in proof.claims)
    forged = first.model_copy(update={"subject": second.subject})  # 0.5, and it is 2.5
    claims = (proof.claims[0].model_copy(update={"certificate": forged}),)
    (row,) = recheck(model, proof.model_copy(update={"claims": claims}))
    assert not row.ok and row.why == "the proof is not of reward of b"


def test_what_an_array_leaves_open_is_no_proof_over_a_box() -> None:
    """With nothing to range over, the bound at the values that are bound is all that there is."""
    text = TWO.replace("model two\n", "model two\nparam k : real[2] in [0, 9] = [1, 1]\n")
    model, archive = compile_text(text.replace("STEEP", "k[y]")).require_model(), Archive()
    with keeping(archive):
        answers(model, "b: lipschitz(reward, mu)", seconds=0.5, whole_box=True)
    (claimed,) = archive.claims
    assert claimed.certificate.verdict == "proved"  # of k = [1, 1]
    proof = Proof(
        version="",
        name=model.name,
        model=model_hash(model),
        parameters={},
        whole_box=True,
        claims=(claimed,),
    )
    (row,) = recheck(model, proof)
    assert row.ok and row.as_bound


def test_a_search_of_another_problem_is_not_taken() -> None:
    proof = proof_of(*HOLDS["laws"])
    row = checked("beach_bar", with_search(proof, problem="0" * 64))
    assert not row.ok


def test_shares_of_terms_are_checked() -> None:
    proof = proof_of(*HOLDS["laws"])
    shares = proof.claims[0].certificate.shares
    less = tuple(s.model_copy(update={"upper": s.upper / 2}) for s in shares)
    assert any(s.upper for s in shares)
    row = checked("beach_bar", with_certificate(proof, shares=less))
    assert not row.ok and row.why is not None and "the share of" in row.why


RULE = Certificate(claim="monotone", subject="reward", source="mu", verdict="proved", upper=1.0)


@pytest.mark.parametrize(
    "rules, ok",
    [
        ((RULE,), True),
        ((RULE.model_copy(update={"upper": 0.5}),), True),
        ((), False),
        ((RULE.model_copy(update={"verdict": "unknown"}),), False),
        ((RULE.model_copy(update={"upper": 2.0}),), False),
        ((RULE.model_copy(update={"subject": "final"}),), False),
    ],
)
def test_what_rules_prove_is_proved_again(rules: tuple[Certificate, ...], ok: bool) -> None:
    proof = with_claim(proof_of(*HOLDS["laws"]), asked=None, searches=(), certificate=RULE)
    assert checked("beach_bar", proof, rules).ok is ok


def test_a_constant_without_its_searches_is_no_rule() -> None:
    proof = proof_of(*HOLDS["laws"])
    bare = Claimed(certificate=proof.claims[0].certificate)
    assert not checked("beach_bar", proof.model_copy(update={"claims": (bare,)})).ok
    empty = with_claim(proof, searches=())
    assert not checked("beach_bar", empty).ok


@pytest.mark.parametrize(
    "change",
    [
        {"data": "!!"},
        {"data": "AAAA"},
        {"shape": (3,)},
        {"shape": (-2,)},
        {"shape": (1 << 40,)},
        {"kind": "|O"},
    ],
)
def test_damaged_arrays_are_refused(change: dict[str, Any]) -> None:
    packed = pack(np.arange(2.0))
    assert np.array_equal(unpack(packed), [0.0, 1.0])
    with pytest.raises(PackingError):
        unpack(packed.model_copy(update=change))


def test_damaged_trees_are_refused() -> None:
    proof = proof_of(*HOLDS["laws"])
    cuts = search_of(proof).cuts
    assert cuts is not None
    row = checked("beach_bar", with_search(proof, cuts=cuts.model_copy(update={"data": "AAAA"})))
    assert not row.ok
