"""Writers of `draw_initial` and `draw_noise`: standard draws from a generator."""

from collections.abc import Callable, Sequence

from mfdsl.compiler.backend.particles.header import standard_draws
from mfdsl.compiler.backend.particles.module import Module

Parts = Sequence[str | float]

LAWS: dict[str, Callable[[Parts], str]] = {
    "uniform": lambda _: "torch.rand({shape}, {made})",
    "normal": lambda _: "torch.randn({shape}, {made})",
    "exponential": lambda _: "-torch.log1p(-torch.rand({shape}, {made}))",
    "gamma": lambda law: f"_gamma({float(law[1])!r}, {{shape}}, {{made}})",
    "beta": lambda law: f"_beta({float(law[1])!r}, {float(law[2])!r}, {{shape}}, {{made}})",
    "disc": lambda law: (
        f"_disc({float(law[1])!r}, {float(law[2])!r}, {float(law[3])!r}, {{shape}}, {{made}})"
    ),
}
MADE = "generator=generator, dtype=dtype, device=device"
CANDIDATES = 64

SAMPLERS = {
    "_gamma": '''\
def _gamma(
    shape: float,
    size: tuple[int, ...],
    generator: torch.Generator | None,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> Tensor:
    """Standard gamma draws."""
    shapes = torch.full(size, shape, dtype=dtype, device=device)
    return torch._standard_gamma(shapes, generator=generator)
''',
    "_beta": '''\
def _beta(
    a: float,
    b: float,
    size: tuple[int, ...],
    generator: torch.Generator | None,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> Tensor:
    """Beta draws, as shares of two gamma draws."""
    first = _gamma(a, size, generator, dtype, device)
    return first / (first + _gamma(b, size, generator, dtype, device))
''',
    "_disc": f'''\
def _disc(
    spacing: float,
    lo: float,
    hi: float,
    size: tuple[int, ...],
    generator: torch.Generator | None,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> Tensor:
    """Points [..., n, d] of a box that keep a distance, drawn one after another by rejection.

    Each point is the first of {CANDIDATES} uniform candidates that keeps the distance from all
    points before it, and the one that comes closest to doing so when none does.
    """
    *outer, count, width = size
    points: list[Tensor] = []
    for _ in range(count):
        shape = (*outer, {CANDIDATES}, width)
        fresh = torch.rand(shape, generator=generator, dtype=dtype, device=device) * (hi - lo) + lo
        room = torch.full(shape[:-1], spacing, dtype=dtype, device=device)
        for point in points:
            gap = (fresh - point[..., None, :]).square().sum(-1).sqrt()
            room = torch.minimum(room, gap)
        order = torch.arange({CANDIDATES}, 0, -1, device=device)
        kept = torch.where(room >= spacing, order + spacing, room).argmax(-1)
        points.append(torch.take_along_dim(fresh, kept[..., None, None], -2)[..., 0, :])
    return torch.stack(points, -2)
''',
}


def sampler(module: Module, name: str, kind: str, letter: str) -> str:
    """`draw_initial` or `draw_noise`; the samplers in use are noted as helpers."""
    lines = [
        f"def {name}(",
        "    batch: int,",
        "    agents: dict[str, int],",
        "    generator: torch.Generator | None = None,",
        "    dtype: torch.dtype = torch.float64,",
        "    device: torch.device | str | None = None,",
        f") -> {kind}:",
        f'    """Standard draws of {"one step" if letter == "z" else "t = 0"} for `batch` games'
        ' and the agents of each population."""',
    ]
    rows = []
    for player in module.model.players:
        field = module.players[player.name]
        outer = ["batch"]
        if player.kind == "population":
            outer.append(f'agents["{field}"]')
        fields = []
        for variable, law, shape in standard_draws(module, player, letter):
            word = str(law[0])
            module.helpers |= {"_gamma", "_beta"} if word == "beta" else {f"_{word}"} & {*SAMPLERS}
            sizes = [*outer, *map(str, shape)]
            size = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
            drawn = LAWS[word](law).format(shape=size, made=MADE)
            fields.append(f"            {module.variables[letter, player.name, variable]}={drawn},")
        if fields:
            rows += [
                f"        {field}={module.classes[letter, player.name]}(",
                *fields,
                "        ),",
            ]
    if not rows:
        return "\n".join([*lines, f"    return {kind}()"]) + "\n"
    return "\n".join([*lines, f"    return {kind}(", *rows, "    )"]) + "\n"
