"""Writers of the functions of N agents: draws, first states, statistics, one step."""

from collections.abc import Sequence

from mfdsl.compiler.backend.names import local_names, unique
from mfdsl.compiler.backend.torch_field import marginal_of_agents, marginal_of_law, offset
from mfdsl.compiler.backend.torch_writer import Writer
from mfdsl.compiler.ir.model import Variable
from mfdsl.compiler.ir.walk import given


def uniforms(w: Writer, name: str, kind: str, group: Sequence[Variable]) -> str:
    """`draw_initial` or `draw_noise`."""
    lines = [
        f"def {name}(",
        "    batch: int,",
        "    agents: int,",
        "    generator: torch.Generator | None = None,",
        "    dtype: torch.dtype = torch.float64,",
        "    device: torch.device | str | None = None,",
        f") -> {kind}:",
        '    """Uniforms for `batch` times `agents` members."""',
    ]
    drawn = "torch.rand(batch, agents, generator=generator, dtype=dtype, device=device)"
    rows = [f"        {w.field_of(v)}={drawn}," for v in group]
    if rows:
        return "\n".join([*lines, f"    return {kind}(", *rows, "    )"]) + "\n"
    return "\n".join([*lines, f"    return {kind}()"]) + "\n"


def init(w: Writer) -> str:
    """`init`: states at t = 0, by search in a table where one serves all agents."""
    body: list[str] = []
    values: dict[str, str] = {}
    taken = local_names()
    for k, (state, made) in enumerate(zip(w.states, w.initials, strict=True)):
        name, size = w.field_of(state), w.sizes[k]
        rank = 2 if len(made.variables) == 1 else 3
        deep = {v: f"{local}[..., None]" for v, local in values.items()}
        deep[state.name] = f"_axis({w.first(state)}, {size}, {rank - 1}, {rank}, p.unit.device)"
        weights = made.call(deep, p=f"_wide_params(p, {rank})")
        if not w.reads_itself(state.name, given(state.initial), "state"):
            weights += f".expand({'-1, ' * (rank - 1)}{size})"
        helper = "_search" if rank == 2 else "_draw"
        w.shared.helpers |= {helper, "_axis"}
        drawn = offset(f"{helper}({weights}, z.{name})", -w.first(state))
        local = unique(state.name, taken)
        body.append(f"{local} = {drawn}")
        values[state.name] = local
    body.append(f"return State({', '.join(values.values())})")
    lines = ['"""Initial states of the agents, [B, N], by inverse CDF."""', *body]
    return "\n    ".join(["def init(p: Params, z: Initial) -> State:", *lines]) + "\n"


def fields(w: Writer) -> list[str]:
    """`field`, `empirical` and `field_of_agents`."""
    marginals = w.plan.running.marginals
    reads = [i for i in "pt" if i in w.field_reads]
    from_law = [*reads, *(marginal_of_law(w.plan, v, final=False) for v in marginals)]
    of_agents = [*reads, *(marginal_of_agents(w.shared, v) for v in marginals)]
    law = f"return _field({', '.join(from_law)})" if marginals else "return Field()"
    agents = f"return _field({', '.join(of_agents)})" if marginals else "return Field()"
    names = [v.name for v in (*w.states, *w.population.actions)]
    share = marginal_of_agents(w.shared, names)
    return [
        w.function("field", "ptm", "Field", "Statistics of the joint law m [B, *S, *A].", [law]),
        w.function(
            "empirical",
            "psa",
            "Tensor",
            "Joint law of N agents, [B, *S, *A].",
            [f"return {share}"],
        ),
        w.function(
            "field_of_agents",
            "ptsa",
            "Field",
            "Statistics of N agents: those of their empirical law.",
            [agents],
        ),
    ]


def sample(w: Writer) -> str:
    """`_sample`: values of all noises of agents."""
    body = w.widen(3, w.chances)
    letters = w.read(w.chances, "sa")
    kinds = {"s": "State", "a": "Action"}
    body += [f"{i} = {kinds[i]}(*(v[..., None] for v in {i}))" for i in letters]
    values: dict[str, str] = {}
    results = []
    for noise, made, size in zip(w.population.noises, w.chances, w.noise_sizes, strict=True):
        name = w.field_of(noise)
        here = dict(values)
        here[noise.name] = f"_axis({w.first(noise)}, {size}, 2, 3, p.unit.device)"
        chance = made.call(here)
        if not w.reads_itself(noise.name, given(noise.density), "noise"):
            chance += f".expand(-1, -1, {size})"
        w.shared.helpers |= {"_draw", "_axis"}
        drawn = offset(f"_draw({chance}, z.{name})", -w.first(noise))
        local = f"{name}_value"
        body.append(f"{local} = {drawn}")
        values[noise.name] = f"{local}[..., None]"
        results.append(f"{name}={local}")
    body.append(f"return Noise({', '.join(results)})")
    letters = "".join(i for i in "ptfsa" if i in w.read(w.chances, "ptfsa") or i == "p")
    doc = "Values of the noises of N agents, [B, N], from uniforms z."
    return w.function("_sample", f"{letters}z", "Noise", doc, body)


def step(w: Writer) -> str:
    """`step`: draw the noises, then evaluate the functions of a member."""
    functions = [w.next, w.terms, *w.chances]
    body = ["f = field_of_agents(p, t, s, a)"] if w.read(functions, "f") else []
    if w.chances:
        letters = [i for i in "ptfsa" if i in w.read(w.chances, "ptfsa") or i == "p"]
        if w.read([w.next, w.terms], "e"):
            body.append(f"e = _sample({', '.join([*letters, 'z'])})")
    shown = [w.next, w.terms] if w.has_running() else [w.next]
    body += w.widen(2, shown)
    first = w.field_of(w.states[0])
    w.shared.helpers.add("_with_agents")
    if w.has_running():
        body.append(f"reward = _with_agents(sum({w.terms.call()}.values()), s.{first})")
    else:
        body.append(f"reward = p.unit.new_zeros(s.{first}.shape)")
    body.append(f"after = {w.next.call()}")
    body.append(f"return State(*(_with_agents(v, s.{first}) for v in after)), reward")
    doc = "Next states and rewards of N agents, [B, N], from uniforms z."
    return w.function("step", "ptsaz", "tuple[State, Tensor]", doc, body)


def observe(w: Writer) -> str:
    """`observe`: what a policy may read."""
    doc = "What a policy may read, each [B, N]."
    if not w.population.observe:
        return w.function("observe", "ptsf", "dict[str, Tensor]", doc, ["return {}"])
    first = w.field_of(w.states[0])
    w.shared.helpers.add("_with_agents")
    body = w.widen(2, [w.observed])
    body.append(f"seen = {w.observed.call()}")
    body.append(f"return {{name: _with_agents(v, s.{first}) for name, v in seen.items()}}")
    return w.function("observe", "ptsf", "dict[str, Tensor]", doc, body)
