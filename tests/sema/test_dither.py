"""`dither(z)` draws one of the two integers around z, with mean z."""

import math

import pytest

from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir import meaning

MODEL = """model rounding

param z : real in [-3, 3] = {z}

objective nash
horizon 2

population p as mu {{
  state  x : int in -3..3 = 0
  action a : bool
  x' ~ dither(z)
  reward r = -mu[x] * ind(a)
}}
"""


@pytest.mark.parametrize("z", [-3.0, -2.5, -1.25, -0.25, 0.0, 0.75, 1.0, 2.25, 3.0])
def test_the_two_neighbours_have_the_right_mean(z: float) -> None:
    model = compile_text(MODEL.format(z=z)).require_model()
    law = {((0,), (0,)): 1.0}
    row = {s[0]: p for s, p in meaning.kernel_row(model, 0, law, (0,), (0,)).items() if p}
    assert set(row) <= {math.floor(z), math.ceil(z)}
    assert sum(row.values()) == pytest.approx(1, abs=1e-15)
    assert sum(value * p for value, p in row.items()) == pytest.approx(z, abs=1e-15)
