"""Small functions of emitted modules that do not depend on the game, by name."""

HELPERS = {
    "_array": '''\
def _array(number: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A constant array of the game."""
    key = (f"array {number}", f"{dtype} {device}")
    if key not in _TABLES:
        sizes, values = _ARRAYS[number]
        _TABLES[key] = torch.tensor(values, dtype=dtype, device=device).reshape(sizes)
    return _TABLES[key]


# What torch.compiler.assume_constant_result sets; to call it would load the compiler.
_array._dynamo_marked_constant = True
''',
    "_column": '''\
def _column(value: Tensor, rank: int) -> Tensor:
    """A number or a batch of numbers as [B, 1, ..., 1] with `rank` axes."""
    return value.reshape(-1, *[1] * (rank - 1))
''',
    "_at": '''\
def _at(table: Tensor, *position: Tensor | int, rank: int = 0) -> Tensor:
    """Entries of a table [B, ...] at positions that have the batch axis first."""
    rank = max(rank, *(i.dim() for i in position if isinstance(i, Tensor)), 1)
    row = torch.arange(len(table), device=table.device).reshape(-1, *[1] * (rank - 1))
    return table[(row, *position)]
''',
    "_pick": '''\
def _pick(position: Tensor, *elements: Tensor | float) -> Tensor:
    """The element at a position."""
    chosen = elements[0]
    for k, element in enumerate(elements[1:], 1):
        chosen = torch.where(position == k, element, chosen)
    return chosen
''',
    "_share": '''\
def _share(unit: Tensor, sizes: tuple[int, ...], *positions: Tensor) -> Tensor:
    """Share of agents at each joint position, [B, *sizes]; positions [B, N]."""
    flat, total = positions[0], sizes[0]
    for size, position in zip(sizes[1:], positions[1:], strict=True):
        flat, total = flat * size + position, total * size
    zeros = unit.new_zeros(len(flat), total)
    counts = zeros.scatter_add(1, flat, unit.new_ones(1, 1).expand(flat.shape))
    return (counts / flat.shape[1]).reshape(-1, *sizes)
''',
    "_tally": '''\
def _tally(place: Tensor, mass: Tensor, size: int) -> Tensor:
    """Sums of mass [B, *V] by place [B or 1, *V], as [B, size]."""
    flat = place.expand_as(mass).flatten(1)
    return mass.new_zeros(len(mass), size).scatter_add(1, flat, mass.flatten(1))
''',
    "_axis": '''\
def _axis(first: int, size: int, place: int, rank: int, device: torch.device) -> Tensor:
    """Values first, first + 1, ... along axis `place` of `rank` axes."""
    values = torch.arange(first, first + size, device=device)
    return values.reshape(*[1] * place, size, *[1] * (rank - place - 1))
''',
    "_draw": '''\
def _draw(weights: Tensor, u: Tensor) -> Tensor:
    """Outcomes [B, N] by inverse CDF from weights [B, N, K] and uniforms u [B, N]."""
    cdf = weights.cumsum(-1)
    drawn = (u[..., None] * cdf[..., -1:] >= cdf).sum(-1)
    outcomes = torch.arange(weights.shape[-1], device=weights.device)
    return torch.minimum(drawn, torch.where(weights > 0, outcomes, 0).amax(-1))
''',
    "_search": '''\
def _search(weights: Tensor, u: Tensor) -> Tensor:
    """Outcomes [B, N] by search in the CDF of weights [B or 1, K] for uniforms u [B, N]."""
    cdf = weights.cumsum(-1)
    level = (u * cdf[:, -1:]).contiguous()
    if len(cdf) == 1:
        drawn = torch.searchsorted(cdf[0], level, right=True)
    else:
        drawn = torch.searchsorted(cdf, level, right=True)
    outcomes = torch.arange(weights.shape[-1], device=weights.device)
    return torch.minimum(drawn, torch.where(weights > 0, outcomes, 0).amax(-1, keepdim=True))
''',
    "_averaged": '''\
def _averaged(value: Tensor, chance: Tensor, noises: int) -> Tensor:
    """A value averaged over its last axes, those of the noises, as far as it reads them."""
    read = [i for i in range(-noises, 0) if value.shape[i] > 1]
    rest = [i for i in range(-noises, 0) if value.shape[i] == 1]
    if read:
        chance = chance.sum(rest, keepdim=True) if rest else chance
        value = (value * chance).sum(read, keepdim=True)
    return value.flatten(-noises)[..., 0]
''',
    "_with_agents": '''\
def _with_agents(value: Tensor, agents: Tensor) -> Tensor:
    """A value [B, N] also where it is the same for all agents."""
    return torch.broadcast_tensors(value, agents)[0]
''',
}
ORDER = tuple(HELPERS)
