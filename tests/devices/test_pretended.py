"""The device that pretends to be a GPU refuses what torch's own fake device refuses."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import mfdsl
from mfdsl.runtime.agents import load_agents
from mfdsl.runtime.behaviours import uniform
from mfdsl.runtime.simulator import Simulator
from tests.devices.pretended import Misplaced, Waited, pretended, without_waiting

Case = Callable[[], object]


def there(*shape: int) -> Tensor:
    return torch.ones(shape, device="cuda")


FINE: dict[str, Case] = {
    "a sum": lambda: there(3) + there(3),
    "a number of the CPU": lambda: there(3) * torch.tensor(2.0),
    "there and back": lambda: there(3).cpu() + torch.ones(3),
    "one like another": lambda: there(3) + torch.zeros_like(there(3)),
}
REFUSED: dict[str, Case] = {
    "a sum of two places": lambda: there(3) + torch.ones(3),
    "a product of two places": lambda: there(3, 3) @ torch.ones(3, 3),
    "a row of two places": lambda: torch.cat([there(3), torch.ones(3)]),
    "written here": lambda: torch.add(there(3), there(3), out=torch.ones(3)),
    "added here": lambda: torch.ones(3).add_(there(3)),
    "gathered by the CPU": lambda: there(3).gather(0, torch.zeros(2, dtype=torch.int64)),
    "to numpy": lambda: there(3).numpy(),
}


def refused(case: Case) -> bool:
    try:
        case()
    except (RuntimeError, TypeError):
        return True
    return False


@pytest.mark.parametrize("name", [*FINE, *REFUSED])
def test_it_refuses_what_fake_tensors_refuse(name: str) -> None:
    case = {**FINE, **REFUSED}[name]
    with FakeTensorMode():
        assert refused(case) == (name in REFUSED)
    with pretended():
        assert refused(case) == (name in REFUSED)


def test_numbers_and_slopes_are_those_of_the_cpu() -> None:
    start = torch.linspace(0, 1, 6, dtype=torch.float64).reshape(2, 3)
    here = start.clone().requires_grad_()
    (here @ here.T).sin().sum().backward()
    with pretended():
        moved = start.to("cuda").requires_grad_()
        (moved @ moved.T).sin().sum().backward()
        assert moved.grad is not None and moved.grad.is_cuda
        assert torch.equal(moved.grad.cpu(), here.grad)


@pytest.mark.parametrize(
    "case",
    [
        lambda: there(3)[0].item(),
        lambda: bool((there(3) > 0).all()),
        lambda: there(3)[there(3) > 0],
        lambda: there(3).nonzero(),
        lambda: there(3).cpu(),
        lambda: torch.ones(3).copy_(there(3)),
        lambda: there(3).tolist(),
    ],
)
def test_what_waits_is_refused_where_nothing_may(case: Case) -> None:
    with pretended() as machine:
        case()
        assert machine.waited > 0
        with without_waiting(), pytest.raises(Waited):
            case()


def test_what_fake_tensors_cannot_say_without_cuda() -> None:
    """Copies and indices: a torch that was built without CUDA refuses them all for fake tensors."""
    with pretended():
        picked = torch.arange(3.0, device="cuda")[torch.tensor([0, 2])]
        assert picked.is_cuda and picked.tolist() == [0, 2]
        assert there(3).copy_(torch.zeros(3)).tolist() == [0, 0, 0]
        assert (there(3) + torch.tensor([1.0, 2, 3], device="cuda")).tolist() == [2, 3, 4]
        with pytest.raises(Misplaced):
            torch.ones(3)[there(2).long()]


def test_a_module_that_forgets_the_device_is_found_out() -> None:
    game = mfdsl.load("foraging")
    text = game.agents.text
    forgetful = re.sub(r", device=\w+(\.\w+)*", "", text)
    assert forgetful != text
    with pretended():
        program = load_agents(forgetful, game.model)
        params = game.agents.params(device="cuda")
        with pytest.raises(Misplaced):
            Simulator(program, params, agents=4).rollout(uniform, steps=1)


def test_generators_draw_where_they_are() -> None:
    with pretended():
        stream = torch.Generator(device="cuda").manual_seed(1)
        assert torch.rand(3, generator=stream, device="cuda").is_cuda
        for place, other in (("cpu", stream), ("cuda", torch.Generator())):
            with pytest.raises(Misplaced):
                torch.rand(3, generator=other, device=place)
