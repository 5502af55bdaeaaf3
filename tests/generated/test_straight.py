"""Networks with an affine part: what they are far from the middle, and before they learn."""

import torch

from mfdsl.runtime.learning.actor import Shape, Trunk
from mfdsl.runtime.learning.encoders import Members
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.generated.straight import StraightTrunk

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
        trunk.straight.weight.copy_(torch.randn(trunk.straight.weight.shape))
    near, far = torch.full((3, 1, 2), 1e3), torch.full((3, 1, 2), 1e3)
    far[..., 0] += 1.0
    slope = trunk(view(far)) - trunk(view(near))
    wanted = trunk.straight.weight[:, 0].expand(3, 1, -1)
    assert torch.allclose(slope, wanted, atol=1e-3)
    assert Trunk.forward(trunk, view(far)).allclose(Trunk.forward(trunk, view(near)), atol=1e-6)


def test_it_begins_as_the_network_alone() -> None:
    torch.manual_seed(0)
    trunk, own = StraightTrunk(2, 1, LAWS, 2, SHAPE, 1.0), torch.randn(3, 5, 2)
    assert torch.equal(trunk(view(own)), Trunk.forward(trunk, view(own)))
