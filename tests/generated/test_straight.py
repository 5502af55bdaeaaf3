"""Networks with an affine part: what they are far from the middle, and before they learn."""

import torch

from mfdsl.runtime.learning.actor import Shape, Trunk
from mfdsl.runtime.learning.encoders import Members
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.generated.straight import Clock, StraightTrunk

LAWS = [Members(2, ())]
SHAPE = Shape((16, 16), "tanh", "moments")


def view(own: torch.Tensor) -> View:
    draws = torch.Generator().manual_seed(1)
    members, common = (torch.randn(*size, generator=draws) for size in ((3, 8, 2), (3, 1)))
    return View(own, common, (members,), (None,))


def test_slopes_far_from_the_middle_are_those_of_the_affine_part() -> None:
    """There tangents are flat: alone a network has no slope, whatever it learned."""
    torch.manual_seed(0)
    trunk = StraightTrunk(2, 1, LAWS, 2, SHAPE, 1.0)
    with torch.no_grad():
        trunk.slope.copy_(torch.randn(trunk.slope.shape))
    near, far = torch.full((3, 1, 2), 1e3), torch.full((3, 1, 2), 1e3)
    far[..., 0] += 1.0
    slope = trunk(view(far)) - trunk(view(near))
    wanted = trunk.slope[0, 0].expand(3, 1, -1)
    assert torch.allclose(slope, wanted, atol=1e-3)
    assert Trunk.forward(trunk, view(far)).allclose(Trunk.forward(trunk, view(near)), atol=1e-6)


def test_it_begins_as_the_network_alone() -> None:
    torch.manual_seed(0)
    trunk, own = StraightTrunk(2, 1, LAWS, 2, SHAPE, 1.0), torch.randn(3, 5, 2)
    assert torch.equal(trunk(view(own)), Trunk.forward(trunk, view(own)))


def test_what_is_seen_has_mean_0_and_covariance_1_and_outputs_stay() -> None:
    torch.manual_seed(0)
    trunk, own = StraightTrunk(2, 1, LAWS, 2, SHAPE, 1.0), 5 + 0.3 * torch.randn(3, 400, 2)
    common = torch.tensor([[0.4], [0.7], [1.2]])
    seen = View(own, common, (torch.zeros(3, 8, 2),), (None,))
    with torch.no_grad():
        trunk.slope.copy_(torch.randn(trunk.slope.shape))
        trunk.level.copy_(torch.randn(trunk.level.shape))
        before = trunk(seen)
        trunk.whiten(seen)
        assert torch.allclose(trunk(seen), before, atol=1e-4)
        trunk.whiten(seen)  # once more, from there
        assert torch.allclose(trunk(seen), before, atol=1e-4)
    read = torch.cat([own, common[:, None].expand(-1, 400, -1)], -1).flatten(0, 1)
    # of seven numbers the first two differ between agents, and the last one between games
    apart = (read - trunk.centre[0, [0, 1, 7]]) @ trunk.inverse[0][[0, 1, 7]][:, [0, 1, 7]]
    assert torch.allclose(apart.T @ apart / len(apart), torch.eye(3), atol=1e-2)


def test_what_hardly_differs_between_games_is_not_stretched() -> None:
    """Nothing in training would hold slopes of it, which agents meet with other noise."""
    torch.manual_seed(0)
    trunk = StraightTrunk(2, 1, LAWS, 2, SHAPE, 1.0)
    common = 0.4 + torch.tensor([[1e-4], [0.0], [-1e-4]])
    trunk.whiten(View(torch.randn(3, 400, 2), common, (torch.zeros(3, 8, 2),), (None,)))
    longest = torch.linalg.eigvalsh(trunk.inverse[0]).max()
    assert 3.0 < float(longest) < 3.6


def test_times_have_numbers_of_their_own() -> None:
    torch.manual_seed(0)
    trunk = StraightTrunk(2, 1, LAWS, 2, SHAPE, 1.0, Clock(0, 3))
    own, members = torch.randn(3, 5, 2), torch.randn(3, 8, 2)
    seen = View(own, torch.tensor([[-1.0], [0.0], [1.0]]), (members,), (None,))
    before = trunk(seen)
    with torch.no_grad():
        trunk.level[1] += 1.0
    moved = (trunk(seen) - before).detach()
    assert torch.allclose(moved, torch.tensor([0.0, 1.0, 0.0])[:, None, None].expand(3, 5, 2))
