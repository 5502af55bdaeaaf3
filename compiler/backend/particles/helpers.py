"""Small functions of emitted modules of agents that do not depend on the game, by name.

What only keeps slopes finite is skipped where there are none: it costs more than the value itself.
In a branch that may not be taken, that is where nothing has slopes: inf and nan without a slope
make nan of those of their factors.
"""

from mfdsl.compiler.backend.torch_helpers import HELPERS

_KEPT = ("_array", "_at", "_draw", "_search")
MANY_AGENTS = 64  # from here on a product of matrices is faster than a sum of products
PAIRS_AT_ONCE = 1 << 23

PARTICLE_HELPERS = {
    **{name: HELPERS[name] for name in _KEPT},
    "_softplus": '''\
def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return torch.logaddexp(x, torch.zeros_like(x))
''',
    "_sqrt": '''\
def _sqrt(x: Tensor) -> Tensor:
    """The square root, with slope 0 at 0."""
    if not x.requires_grad:
        return x.sqrt()
    nothing = x == 0
    return torch.where(nothing, 0, torch.where(nothing, 1, x).sqrt())
''',
    "_sqrt_or_0": '''\
def _sqrt_or_0(x: Tensor) -> Tensor:
    """The square root where there is one, in a branch that is taken only there."""
    return _sqrt(x.clamp(min=0.0))
''',
    "_log_or_0": '''\
def _log_or_0(x: Tensor) -> Tensor:
    """The logarithm where there is one, in a branch that is taken only there."""
    return torch.where(x > 0, x, 1).log() if torch.is_grad_enabled() else x.log()
''',
    "_quotient": '''\
def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b in a branch that is taken only where b is not 0."""
    return a / (torch.where(b == 0, 1, b) if torch.is_grad_enabled() else b)
''',
    "_remainder": '''\
def _remainder(a: Tensor, b: Tensor) -> Tensor:
    """The remainder of a by b in a branch that is taken only where b is not 0."""
    return a % torch.where(b == 0, 1, b)
''',
    "_power": '''\
def _power(base: Tensor, exponent: Tensor | float) -> Tensor:
    """A power where it has a value and a slope; elsewhere 0, or 1 for exponent 0, with slope 0."""
    whole = exponent % 1 == 0
    sound = (base > 0) | ((base != 0) & whole) | ((base == 0) & (exponent >= 1))
    return torch.where(sound, torch.where(sound, base, 1) ** exponent, exponent == 0)
''',
    "_square": '''\
def _square(*components: Tensor, over: bool = False) -> Tensor:
    """The squared length of a vector given by components; `over` the first if nobody reads it."""
    total = components[0]
    total = total.mul_(total) if over and not total.requires_grad else total * total
    for x in components[1:]:
        alike = total.shape == x.shape
        total = total.addcmul_(x, x) if alike else torch.addcmul(total, x, x)
    return total
''',
    "_length": '''\
def _length(*components: Tensor, over: bool = False) -> Tensor:
    """The Euclidean norm of a vector given by components, with slope 0 at 0."""
    square = _square(*components, over=over)
    return _sqrt(square) if square.requires_grad else square.sqrt_()
''',
    "_norm": '''\
def _norm(vector: Tensor) -> Tensor:
    """The Euclidean norm along the last axis, with slope 0 at 0."""
    return _sqrt((vector * vector).sum(-1))
''',
    "_combined": f'''\
def _combined(share: Tensor, value: Tensor) -> Tensor:
    """Sums of values [B, K, N] with the weights [B, K], [B, N]; few agents are faster added up."""
    if value.shape[-1] < {MANY_AGENTS} or torch.compiler.is_compiling():
        return (share[..., None] * value).sum(-2)
    return (share[..., None, :] @ value).squeeze(-2)
''',
    "_wrap": '''\
def _wrap(value: Tensor, size: int) -> Tensor:
    """value modulo size, for -size <= value < 2 size."""
    value = torch.where(value < 0, value + size, value)
    return torch.where(value >= size, value - size, value)
''',
    "_stack": '''\
def _stack(*items: Tensor, axis: int) -> Tensor:
    """Items side by side along a new axis."""
    alike = all(item.shape == items[0].shape for item in items)
    return torch.stack(items if alike else torch.broadcast_tensors(*items), axis)
''',
    "_vectors": '''\
def _vectors(*components: Tensor) -> Tensor:
    """Vectors of agents, [B, N, d], stored component by component."""
    return _stack(*components, axis=0).movedim(0, -1)
''',
    "_take": '''\
def _take(array: Tensor, position: Tensor, axis: int) -> Tensor:
    """The entries of an array at positions along an axis that is counted from the end."""
    position = position.reshape(*[1] * (array.dim() + axis + 1 - position.dim()), *position.shape)
    position = position.reshape(*position.shape, *[1] * -axis)
    return torch.take_along_dim(array, position, axis).squeeze(axis)
''',
    "_look_up": '''\
def _look_up(table: Tensor, *positions: Tensor) -> Tensor:
    """Entries of a table [B, ...] at positions [B, N]."""
    flat = positions[0]
    for size, position in zip(table.shape[2:], positions[1:], strict=True):
        flat = flat * size + position
    entries = torch.take_along_dim(table.flatten(1), flat.reshape(len(flat), -1), 1)
    return entries.reshape(-1, *flat.shape[1:])
''',
    "_tally": '''\
def _tally(weight: Tensor, sizes: tuple[int, ...], *positions: Tensor) -> Tensor:
    """Total weight of the agents at each joint position, [B, *sizes]; positions [B, N]."""
    flat, total = positions[0], sizes[0]
    for size, position in zip(sizes[1:], positions[1:], strict=True):
        flat, total = flat * size + position, total * size
    flat, weight = torch.broadcast_tensors(flat, weight)
    return weight.new_zeros(len(flat), total).scatter_add(1, flat, weight).reshape(-1, *sizes)
''',
    "_min_of_others": '''\
def _min_of_others(value: Tensor) -> Tensor:
    """For each agent the smallest value of another one, [B, N, ...]; 0 when there is none."""
    if value.shape[1] == 1:
        return torch.zeros_like(value)
    least, place = value.topk(2, dim=1, largest=False)
    agents = torch.arange(value.shape[1], device=value.device)
    agents = agents.reshape(-1, *[1] * (value.dim() - 2))
    return torch.where(place[:, :1] == agents, least[:, 1:], least[:, :1])
''',
    "_max_of_others": '''\
def _max_of_others(value: Tensor) -> Tensor:
    """For each agent the largest value of another one, [B, N, ...]."""
    return -_min_of_others(-value)
''',
    "_unless_alone": '''\
def _unless_alone(value: Tensor, agents: Tensor) -> Tensor:
    """A value of others, 0 when there are none."""
    return value if agents.shape[1] > 1 else torch.zeros_like(value)
''',
    "_agents": '''\
def _agents(like: Tensor) -> Tensor:
    """The number of each agent, [1, N]."""
    return torch.arange(like.shape[1], device=like.device)[None]
''',
    "_blocks": f'''\
def _blocks(
    width: int, outer: tuple[Tensor, ...], members: tuple[Tensor, ...]
) -> list[tuple[Tensor, ...]]:
    """Values of members in blocks of at most {PAIRS_AT_ONCE:,} pairs, `width` numbers for each."""
    batch = max(len(v) for v in (*outer, *members))
    rows = max(v[0].numel() for v in outer) * batch * width
    size = max(1, {PAIRS_AT_ONCE} // max(1, rows))
    return list(zip(*(v.split(size, 1) for v in members), strict=True))
''',
    "_numbered": '''\
def _numbered(
    width: int, outer: tuple[Tensor, ...], members: tuple[Tensor, ...]
) -> list[tuple[Any, ...]]:
    """Blocks of members, each with the number of its first."""
    found: list[tuple[Any, ...]] = []
    first = 0
    for block in _blocks(width, outer, members):
        found.append((*block, first))
        first += block[0].shape[1]
    return found
''',
    "_but_own": '''\
def _but_own(value: Tensor, other: float, first: int, own: int, member: int) -> Tensor:
    """Values of pairs, `other` for agents with themselves; member 0 has the number `first`."""
    value.diagonal(-first, own, member).fill_(other)
    return value
''',
}
NEEDS = {
    "_numbered": ("_blocks",),
    "_max_of_others": ("_min_of_others",),
    "_sqrt_or_0": ("_sqrt",),
    "_length": ("_sqrt", "_square"),
    "_norm": ("_sqrt",),
    "_vectors": ("_stack",),
}
