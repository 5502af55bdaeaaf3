"""Algorithms 1 to 3 of mean-field PPO: the exact recursion, its identity, and sampled runs."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from mfdsl.runtime.learning.law_chains import LawChains, policy_on_laws
from mfdsl.runtime.learning.mean_field_mdp import (
    MeanFieldMDP,
    action_values,
    of_agents,
    optimal_values,
    policy_values,
)
from mfdsl.runtime.learning.proximal_energy import (
    Draws,
    Proximity,
    evaluated,
    exact_iterates,
    improved,
    initial_energies,
    proximal_iterates,
)
from tests.learning.team_tables import toy

# gaps of the mean value by iteration: `mfppo_tabular_toy` in closed_forms.json
TOY_GAPS = {
    0: 0.194450856955, 1: 0.189365201252, 5: 0.168584158727, 10: 0.142494380839,
    20: 0.0956458594107, 50: 0.0315637175927, 99: 0.0133566309695,
}  # fmt: skip


@pytest.fixture(scope="module")
def mdp() -> MeanFieldMDP:
    return of_agents(toy(), 10)


def test_gaps_of_the_exact_recursion_are_the_known_ones(mdp: MeanFieldMDP) -> None:
    best = optimal_values(mdp)
    gaps = [(best - i.values).mean().item() for i in exact_iterates(mdp, 100, 0.05)]
    assert {k: gaps[k] for k in TOY_GAPS} == pytest.approx(TOY_GAPS, abs=1e-11)
    assert all(later < sooner for sooner, later in pairwise(gaps))
    reach, logs = mdp.rewards.abs().max().item(), math.log(len(mdp.rules))
    assert min(gaps) <= (0.05 * logs + reach**2 / 0.1) / (0.1 * math.sqrt(100))


def test_energies_are_running_averages_of_action_values(mdp: MeanFieldMDP) -> None:
    total = torch.zeros_like(mdp.rewards)
    for k, iterate in enumerate(exact_iterates(mdp, 30, 0.1)):
        if k:
            torch.testing.assert_close(iterate.energy, total / k, rtol=0, atol=1e-13)
        expected = torch.softmax(total / (0.1 * math.sqrt(30)), -1)
        torch.testing.assert_close(iterate.policy, expected, rtol=0, atol=1e-13)
        total += action_values(mdp, iterate.values)


def test_small_proximity_is_policy_iteration(mdp: MeanFieldMDP) -> None:
    *_, last = exact_iterates(mdp, 30, 1e-4)
    torch.testing.assert_close(last.values, optimal_values(mdp), rtol=0, atol=1e-10)


def random_draws(runs: int, steps: int, shape: tuple[int, int, int]) -> Draws:
    generator = torch.Generator().manual_seed(5)
    own, states, choices = shape

    def laws() -> Tensor:
        found = torch.rand(runs, steps, states, generator=generator, dtype=torch.float64)
        return found / found.sum(-1, keepdim=True)

    def numbers(high: int) -> Tensor:
        return torch.randint(high, (runs, steps), generator=generator)

    reward = torch.randn(runs, steps, generator=generator, dtype=torch.float64)
    law, after = laws(), laws()
    return Draws(numbers(own), law, numbers(choices), reward, numbers(own), after, numbers(choices))


@pytest.mark.parametrize("radius", [100.0, 0.4])
@pytest.mark.parametrize("iterate", ["average", "last"])
def test_evaluation_is_the_semi_gradient_step_by_step(radius: float, iterate: str) -> None:
    shape, runs, steps, width = (3, 4, 2), 2, 12, 16
    options = Proximity(width=width, radius=radius, rate=0.3, iterate=iterate)  # type: ignore[arg-type]
    energies = initial_energies(runs, shape, width, torch.Generator().manual_seed(0))
    draws = random_draws(runs, steps, shape)
    found = evaluated(energies, draws, 0.9, options)
    for e in range(runs):
        start, signs = energies.start[e], energies.signs[e]

        def value(w: Tensor, own: Tensor, law: Tensor, choice: Tensor) -> Tensor:
            x = energies.inputs[own, :, choice]
            gap = torch.relu(x @ w.t()) - torch.relu(x @ start.t())  # noqa: B023
            return law @ (gap @ signs) / math.sqrt(width)  # noqa: B023

        weights, passed = start.clone(), []
        for t in range(steps):
            weights.requires_grad_()
            now = value(weights, draws.own[e, t], draws.law[e, t], draws.choice[e, t])
            after = draws.next_own[e, t], draws.next_law[e, t], draws.next_choice[e, t]
            (slope,) = torch.autograd.grad(now, weights)
            with torch.no_grad():
                gap = now - 0.1 * draws.reward[e, t] - 0.9 * value(weights, *after)
                weights = weights - 0.3 * gap * slope
                apart = weights - start
                weights = start + apart * min(1.0, radius / apart.norm().item())
            passed.append(weights.detach())
        expected = torch.stack(passed).mean(0) if iterate == "average" else passed[-1]
        torch.testing.assert_close(found[e], expected, rtol=0, atol=1e-12)
        assert (found[e] - start).norm() <= radius + 1e-12


def test_improvement_fits_its_target() -> None:
    shape, steps = (1, 3, 2), 6000
    options = Proximity(steps=steps, width=256, rate=0.5, iterate="last")
    energies = initial_energies(1, shape, 256, torch.Generator().manual_seed(0))
    target = torch.tensor([[[[1.0, -0.5], [0.2, 0.3], [-0.4, 0.8]]]], dtype=torch.float64)
    draws = random_draws(1, steps, shape)
    found = energies.table(improved(energies, draws, target, draws.choice, options))
    torch.testing.assert_close(found, target, rtol=0, atol=0.02)


def test_the_network_starts_at_zero_and_counts_duplicates_once() -> None:
    energies = initial_energies(2, (1, 2, 4), 32, torch.Generator().manual_seed(1))
    assert (energies.table(energies.start) == 0).all()
    logits = torch.randn(2, 1, 2, 4).double()
    few, many = torch.tensor([1, 0, 0]), torch.tensor([1, 0, 0, 1, 0, 0])
    for agents in (few, many):
        law = torch.nn.functional.one_hot(agents, 2).double().mean(0)
        torch.testing.assert_close(law, torch.tensor([2 / 3, 1 / 3]).double())
        energy = torch.einsum("s,esr->er", law, logits[:, 0])
        torch.testing.assert_close(energy, (2 * logits[:, 0, 0] + logits[:, 0, 1]) / 3)


def test_draws_are_those_of_the_process(mdp: MeanFieldMDP) -> None:
    generator = torch.Generator().manual_seed(3)
    chains = LawChains(mdp, 1, 50, generator)
    seen = chains.draws(torch.zeros(1, 1, 2, 4).double(), 20_000)
    policy = torch.full_like(mdp.rewards, 0.25)
    moves = torch.einsum("lr,lrm->lm", policy, mdp.transitions)
    visited = torch.linalg.matrix_power(moves, 200)[0]
    paid = (visited[:, None] * policy * mdp.rewards).sum().item()
    error = seen.reward.std().item() / math.sqrt(20_000)
    assert seen.reward.mean().item() == pytest.approx(paid, abs=4 * error)
    law = (visited[:, None] * mdp.laws).sum(0)
    torch.testing.assert_close(seen.law[0].mean(0), law, rtol=0, atol=0.01)
    assert seen.choice[0].bincount().tolist() == pytest.approx([5000] * 4, rel=0.06)


def test_policies_that_see_samples_average_over_them(mdp: MeanFieldMDP) -> None:
    logits = torch.randn(1, 1, 2, 4, generator=torch.Generator().manual_seed(4)).double()
    one = policy_on_laws(mdp, logits, samples=1)[0]
    each = torch.softmax(logits[0, 0], -1)
    torch.testing.assert_close(one, mdp.laws @ each, rtol=0, atol=1e-14)
    many = policy_on_laws(mdp, logits, samples=400)[0]
    torch.testing.assert_close(many, policy_on_laws(mdp, logits)[0], rtol=0, atol=2e-3)


def test_sampled_runs_halve_the_gap_of_the_uniform_policy(mdp: MeanFieldMDP) -> None:
    """With steps of 1: those of the theorem, 1 / sqrt(T), hardly move in 1000 steps."""
    best, half = optimal_values(mdp), TOY_GAPS[0] / 2
    chains = LawChains(mdp, 5, 50, torch.Generator().manual_seed(1), burn=30)
    options = Proximity(iterations=20, steps=1000, width=64, rate=1.0)
    least = torch.full((5,), torch.inf)
    for logits in proximal_iterates(chains, options, seed=0):
        gaps = (best - policy_values(mdp, policy_on_laws(mdp, logits, 50))).mean(-1)
        least = torch.minimum(least, gaps)
        if (least <= half).sum() >= 4:
            return
    raise AssertionError(f"gaps {least.tolist()} of five seeds")
