"""The tables of a part of the states against those of the whole game."""

import pytest
import torch
from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.distributed.parts import (
    PartError,
    part_program,
    parts_of,
    reads_actions,
)

GAMES = (
    "crowd_1d",
    "sis",
    "predator_prey",
    "building_evacuation",
    "dynamic_routing",
    "lq_ring",
    "mfax_linear_quadratic",
    "asymmetric_sis",
)


@pytest.mark.parametrize("name", GAMES)
def test_tables_of_the_parts_are_those_of_the_whole_cut_up(name: str) -> None:
    whole = load(f"specs/{name}.mfg").program
    params, module = whole.params(), whole.module
    states, time = whole.state_count, torch.tensor(1)
    law = torch.rand(states * whole.action_count, generator=torch.Generator().manual_seed(1))
    joint = (law.double() / law.double().sum()).view(
        1, *whole.states.values(), *whole.actions.values()
    )
    marginal = joint.reshape(1, states, -1).sum(-1).view(1, *whole.states.values())
    field = module.field(params, time, joint)
    parts = parts_of(whole, 2)
    assert sorted(torch.cat([part.places() for part in parts]).tolist()) == list(range(states))
    for part in parts:
        own, at = part_program(whole, part), part.places()
        assert own.state_count == part.states == len(at)

        def cut(table: Tensor, at: Tensor = at) -> Tensor:
            return table.index_select(1, at) if table.shape[1] > 1 else table

        tables = own.module
        for found, expected in (
            (tables.initial_law(params).reshape(-1, len(at)), module.initial_law(params)),
            (tables.legal(params, time), module.legal(params, time)),
            (tables.successors(params, time, field), module.successors(params, time, field)),
            (tables.weights(params, time, field), module.weights(params, time, field)),
            (tables.rewards(params, time, joint), module.rewards(params, time, joint)),
            (
                tables.final_rewards(params, time, marginal),
                module.final_rewards(params, time, marginal),
            ),
        ):
            if found.ndim == 2:
                expected = expected.reshape(len(expected), -1)
            torch.testing.assert_close(found, cut(expected), rtol=1e-14, atol=1e-14)


def test_states_are_cut_along_the_variable_with_most_values() -> None:
    program = load("specs/predator_prey.mfg", params={"n": 5}).program
    parts = parts_of(program, 3)
    assert [(part.axis, part.first, part.count) for part in parts] == [
        (1, 0, 8),
        (1, 8, 8),
        (1, 16, 9),
    ]


def test_too_many_processes_are_refused() -> None:
    with pytest.raises(PartError, match="no state variable of crowd_1d has 11 values"):
        parts_of(load("specs/crowd_1d.mfg").program, 11)


def test_text_that_is_no_module_of_the_compiler_is_refused() -> None:
    from dataclasses import replace

    program = load("specs/crowd_1d.mfg").program
    strange = replace(program, text=program.text.replace("_axis(0, 10", "_axis(*(0, 10)"))
    with pytest.raises((PartError, ValueError)):
        part_program(strange, parts_of(program, 2)[0])


@pytest.mark.parametrize(
    ("name", "reads"),
    [("crowd_1d", False), ("equilibrium_price", True), ("random_linear", True), ("sis", False)],
)
def test_games_whose_statistics_read_actions_are_known(name: str, reads: bool) -> None:
    program = load(f"specs/{name}.mfg").program
    assert reads_actions(program) is reads
    generator = torch.Generator().manual_seed(2)
    law = torch.rand(1, program.state_count, program.action_count, generator=generator).double()
    law /= law.sum()
    first = torch.zeros_like(law)
    first[..., 0] = law.sum(-1)
    sizes = (1, *program.states.values(), *program.actions.values())
    fields = [
        program.module.field(program.params(), torch.tensor(0), table.view(sizes))
        for table in (law, first)
    ]
    same = all(torch.allclose(a, b) for a, b in zip(*fields, strict=True))
    assert same is not reads
