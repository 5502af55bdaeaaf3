"""The functions of the contract, written around the functions of one member."""

from collections.abc import Sequence
from math import prod

from mfdsl.compiler.backend.names import local_names, unique
from mfdsl.compiler.backend.plan import rewards_read_noise
from mfdsl.compiler.backend.torch_field import (
    FieldNames,
    field_functions,
    marginal_of_agents,
    marginal_of_law,
    offset,
)
from mfdsl.compiler.backend.torch_header import default_params
from mfdsl.compiler.backend.torch_members import (
    Function,
    chance_function,
    initial_function,
    legal_function,
    next_function,
    observe_function,
    terms_function,
)
from mfdsl.compiler.backend.torch_scope import Shared
from mfdsl.compiler.backend.torch_text import signature
from mfdsl.compiler.ir.model import Variable

ARGUMENTS = {
    "p": "p: Params",
    "t": "t: Tensor",
    "f": "f: Field",
    "m": "m: Tensor",
    "s": "s: State",
    "a": "a: Action",
    "z": "z: Noise",
}


class Writer:
    """Writes public functions; helpers that they turn out to need are collected in `shared`."""

    def __init__(self, shared: Shared, running: FieldNames, final: FieldNames) -> None:
        self.shared = shared
        self.plan = shared.plan
        population = self.plan.model.population
        self.population = population
        self.states = population.states
        self.sizes = [self._size(s) for s in population.states]
        self.action_sizes = [self._size(a) for a in population.actions]
        self.noise_sizes = [self._size(n) for n in population.noises]
        self.rank = 1 + len(self.sizes) + len(self.action_sizes) + len(self.noise_sizes)
        self.next = next_function(shared, running.names)
        self.terms = terms_function(shared, self.plan.running, running.names, final=False)
        self.final = terms_function(shared, self.plan.final, final.names, final=True)
        numbers = range(len(population.noises))
        self.chances = [chance_function(shared, running.names, k) for k in numbers]
        self.initials = [initial_function(shared, k) for k in range(len(population.states))]
        self.legal = legal_function(shared)
        self.observed = observe_function(shared, running.names)
        self.running_field, self.field_reads = field_functions(
            shared, self.plan.running, running, final=False
        )
        self.final_field: list[str] = []
        self.final_reads: frozenset[str] = frozenset()
        if self.plan.final.marginals:
            self.final_field, self.final_reads = field_functions(
                shared, self.plan.final, final, final=True
            )
        self.fields = running
        self.final_fields = final
        self.noisy_rewards = rewards_read_noise(self.plan.model)

    def public(self) -> list[str]:
        """All functions of the contract but for the parameters, which come first."""
        return [
            self._initial_law(),
            self._uniforms("draw_initial", "Initial", self.states),
            self._init(),
            self._uniforms("draw_noise", "Noise", self.population.noises),
            *self._fields(),
            self._legal(),
            self._successors(),
            self._weights(),
            *self._rewards(),
            self._final_rewards(),
            self._kernel(),
            self._push(),
            self._step(),
            self._observe(),
        ]

    def members(self) -> list[str]:
        """What the game is about: parameters, the functions of one member, the statistics."""
        made = [default_params(self.plan, self.shared)]
        made += [self.next.text, *(c.text for c in self.chances)]
        made += [i.text for i in self.initials]
        made += [self.terms.text] if self._has_running() else []
        made += [self.final.text] if self._has_final() else []
        made += [self.legal.text] if self.legal else []
        made += [self.observed.text] if self.population.observe else []
        made += self.running_field if self.plan.running.marginals else []
        return made + self.final_field

    def private(self) -> list[str]:
        """Draws of noise, tuples of all values, and widened inputs."""
        made = [self._sample()] if self.population.noises else []
        made += [self._own("states", "State", self.states, 1)]
        if self.population.actions:
            made += [self._own("actions", "Action", self.population.actions, 1 + len(self.sizes))]
        if self.population.noises:
            place = 1 + len(self.sizes) + len(self.action_sizes)
            made += [self._own("noises", "Noise", self.population.noises, place)]
        made += [self._wide_params()]
        made += (
            [self._wide_field("Field", self.fields)] if "_wide_field" in self.shared.helpers else []
        )
        if self.final_field:
            made.append(self._wide_field("FinalField", self.final_fields))
        return made

    def _size(self, variable: Variable) -> int:
        return self.plan.model.types[variable.type].size

    def _first(self, variable: Variable) -> int:
        return self.plan.model.types[variable.type].first

    def _field_of(self, variable: Variable) -> str:
        return self.shared.variables[variable.name]

    def _has_final(self) -> bool:
        return any(term.final for term in self.population.rewards)

    def _function(self, name: str, letters: str, result: str, doc: str, body: Sequence[str]) -> str:
        arguments = [ARGUMENTS[i] for i in letters]
        lines = [f'"""{doc}"""', *body]
        return "\n    ".join([signature(name, arguments, result), *lines]) + "\n"

    def _widen(self, rank: int | str, functions: Sequence[Function], field: str = "f") -> list[str]:
        """Statements that give the inputs of some functions `rank` axes."""
        read = {i for function in functions for i in function.inputs}
        made = []
        if "p" in read:
            made.append(f"p = _wide_params(p, {rank})")
        if "t" in read:
            self.shared.helpers.add("_column")
            made.append(f"t = _column(t, {rank})")
        if "f" in read and field == "f":
            self.shared.helpers.add("_wide_field")
            made.append(f"f = _wide_field(f, {rank})")
        return made

    def _values(self, rank: int, letters: str) -> list[str]:
        """Statements that bind s, a, e to all values along their axes."""
        names = {"s": "_states", "a": "_actions", "e": "_noises"}
        return [f"{i} = {names[i]}({rank}, p.unit.device)" for i in letters]

    def _read(self, functions: Sequence[Function], letters: str) -> str:
        read = {i for function in functions for i in function.inputs}
        return "".join(i for i in letters if i in read)

    def _own(self, name: str, kind: str, group: Sequence[Variable], place: int) -> str:
        self.shared.helpers.add("_axis")
        calls = ", ".join(
            f"{self._field_of(v)}=_axis({self._first(v)}, {self._size(v)}, {k}, rank, device)"
            for k, v in enumerate(group, place)
        )
        body = [f"return {kind}({calls})"]
        lines = ['"""All values, each variable along its own axis of `rank` axes."""', *body]
        head = signature(f"_{name}", ["rank: int", "device: torch.device"], kind)
        return "\n    ".join([head, *lines]) + "\n"

    def _wide_params(self) -> str:
        self.shared.helpers.add("_column")
        rows = ["unit=_column(p.unit, rank)"]
        for parameter in self.plan.model.parameters:
            if parameter.structural:
                continue
            name = self.shared.parameters[parameter.name]
            type = self.plan.model.types[parameter.type]
            cast = {"real": "", "bool": ".bool()"}.get(type.kind, ".long()")
            if type.dims:
                count = len(type.dims)
                rows.append(f"{name}=p.{name} if p.{name}.dim() > {count} else p.{name}[None]")
            else:
                rows.append(f"{name}=_column(p.{name}, rank){cast}")
        doc = "Scalars as [B, 1, ..., 1] with `rank` axes, arrays as [B, ...]."
        return self._tuple_of("_wide_params", "p: Params", "Params", doc, rows)

    def _wide_field(self, kind: str, fields: FieldNames) -> str:
        rows = []
        for name, shape in fields.shapes.items():
            value = f"_column(f.{name}, rank)" if shape == "[B]" else f"f.{name}"
            rows.append(f"{name}={value}")
        doc = "Scalars as [B, 1, ..., 1] with `rank` axes, tables as they are."
        helper = "_wide_field" if kind == "Field" else "_wide_final"
        return self._tuple_of(helper, f"f: {kind}", kind, doc, rows)

    def _tuple_of(self, name: str, argument: str, kind: str, doc: str, rows: Sequence[str]) -> str:
        lines = [f"def {name}({argument}, rank: int) -> {kind}:", f'    """{doc}"""']
        flat = f"    return {kind}({', '.join(rows)})"
        if len(flat) <= 100:
            lines.append(flat)
        else:
            lines += [f"    return {kind}(", *(f"        {row}," for row in rows), "    )"]
        return "\n".join(lines) + "\n"

    def _initial_law(self) -> str:
        rank = 1 + len(self.sizes)
        values = {s.name: f"s.{self._field_of(s)}" for s in self.states}
        body = [*self._values(rank, "s"), *self._widen(rank, self.initials)]
        body.append(f"law = {' * '.join(f.call(values) for f in self.initials)}")
        body.append(f"return law.expand(-1, {_commas(self.sizes)})")
        doc = "Law of the states at t = 0, [B or 1, *S]."
        return self._function("initial_law", "p", "Tensor", doc, body)

    def _uniforms(self, name: str, kind: str, group: Sequence[Variable]) -> str:
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
        rows = [f"        {self._field_of(v)}={drawn}," for v in group]
        if rows:
            return "\n".join([*lines, f"    return {kind}(", *rows, "    )"]) + "\n"
        return "\n".join([*lines, f"    return {kind}()"]) + "\n"

    def _init(self) -> str:
        body: list[str] = []
        values: dict[str, str] = {}
        taken = local_names()
        for k, (state, made) in enumerate(zip(self.states, self.initials, strict=True)):
            name, size = self._field_of(state), self.sizes[k]
            rank = 2 if len(made.variables) == 1 else 3
            deep = {v: f"{local}[..., None]" for v, local in values.items()}
            deep[state.name] = (
                f"_axis({self._first(state)}, {size}, {rank - 1}, {rank}, p.unit.device)"
            )
            weights = made.call(deep, p=f"_wide_params(p, {rank})")
            if not self._reads_itself(state.name, state.initial, "state"):
                weights += f".expand({'-1, ' * (rank - 1)}{size})"
            helper = "_search" if rank == 2 else "_draw"
            self.shared.helpers |= {helper, "_axis"}
            drawn = offset(f"{helper}({weights}, z.{name})", -self._first(state))
            local = unique(state.name, taken)
            body.append(f"{local} = {drawn}")
            values[state.name] = local
        body.append(f"return State({', '.join(values.values())})")
        lines = ['"""Initial states of the agents, [B, N], by inverse CDF."""', *body]
        return "\n    ".join(["def init(p: Params, z: Initial) -> State:", *lines]) + "\n"

    def _reads_itself(self, name: str, node: int, sort: str) -> bool:
        return name in self.plan.leaves[self.plan.at[node]].names(sort)

    def _fields(self) -> list[str]:
        marginals = self.plan.running.marginals
        reads = [i for i in "pt" if i in self.field_reads]
        from_law = [*reads, *(marginal_of_law(self.plan, v, final=False) for v in marginals)]
        of_agents = [*reads, *(marginal_of_agents(self.shared, v) for v in marginals)]
        law = f"return _field({', '.join(from_law)})" if marginals else "return Field()"
        agents = f"return _field({', '.join(of_agents)})" if marginals else "return Field()"
        names = [v.name for v in (*self.states, *self.population.actions)]
        share = marginal_of_agents(self.shared, names)
        return [
            self._function(
                "field", "ptm", "Field", "Statistics of the joint law m [B, *S, *A].", [law]
            ),
            self._function(
                "empirical",
                "psa",
                "Tensor",
                "Joint law of N agents, [B, *S, *A].",
                [f"return {share}"],
            ),
            self._function(
                "field_of_agents",
                "ptsa",
                "Field",
                "Statistics of N agents: those of their empirical law.",
                [agents],
            ),
        ]

    def _legal(self) -> str:
        states, actions = prod(self.sizes), prod(self.action_sizes)
        if self.legal is None:
            body = [
                f"return torch.ones(1, {states}, {actions}, dtype=torch.bool, device=p.unit.device)"
            ]
        else:
            rank = 1 + len(self.sizes) + len(self.action_sizes)
            body = self._values(rank, self._read([self.legal], "sa"))
            body += self._widen(rank, [self.legal])
            axes = _commas([*self.sizes, *self.action_sizes])
            body.append(f"allowed = {self.legal.call()}")
            body.append(f"return allowed.expand(-1, {axes}).reshape(-1, {states}, {actions})")
        return self._function("legal", "pt", "Tensor", "Legal actions, bool [B or 1, S, A].", body)

    def _successors(self) -> str:
        body = self._values(self.rank, self._read([self.next], "sae"))
        body += self._widen(self.rank, [self.next])
        body.append(f"y = {self.next.call()}")
        flat = ""
        for state, size in zip(self.states, self.sizes, strict=True):
            here = offset(f"y.{self._field_of(state)}", self._first(state))
            if not flat:
                flat = here
            else:
                left = f"({flat})" if " " in flat else flat
                flat = f"{left} * {size} + {here}"
        axes = _commas([*self.sizes, *self.action_sizes, *self.noise_sizes])
        shape = f"{prod(self.sizes)}, {prod(self.action_sizes)}, {prod(self.noise_sizes)}"
        body.append(f"flat = {flat}")
        body.append(f"return flat.expand(-1, {axes}).reshape(-1, {shape})")
        doc = "Flat next state for each noise outcome, int64 [B or 1, S, A, K]."
        return self._function("successors", "ptf", "Tensor", doc, body)

    def _weight_sizes(self) -> tuple[list[int], list[int]]:
        """Sizes of the state and action axes of `weights`: 1 where no chance depends on them."""
        read = [self.plan.leaves[self.plan.at[n.density]] for n in self.population.noises]
        by_state = any(leaves.names("state") for leaves in read)
        by_action = any(leaves.names("action") for leaves in read)
        states = self.sizes if by_state else [1] * len(self.sizes)
        actions = self.action_sizes if by_action else [1] * len(self.action_sizes)
        return states, actions

    def _weights(self) -> str:
        doc = "Probability of each noise outcome, [B or 1, S or 1, A or 1, K]."
        if not self.chances:
            body = ["return p.unit.new_ones(1, 1, 1, 1)"]
            return self._function("weights", "ptf", "Tensor", doc, body)
        states, actions = self._weight_sizes()
        values = {n.name: f"e.{self._field_of(n)}" for n in self.population.noises}
        body = self._values(self.rank, self._read(self.chances, "sa") + "e")
        body += self._widen(self.rank, self.chances)
        body.append(f"chance = {' * '.join(c.call(values) for c in self.chances)}")
        axes = _commas([*states, *actions, *self.noise_sizes])
        shape = f"{prod(states)}, {prod(actions)}, {prod(self.noise_sizes)}"
        body.append(f"return chance.expand(-1, {axes}).reshape(-1, {shape})")
        return self._function("weights", "ptf", "Tensor", doc, body)

    def _rewards(self) -> list[str]:
        states, actions = prod(self.sizes), prod(self.action_sizes)
        doc = "Expected reward, [B, S, A]; m is the joint law."
        if not self._has_running():
            zeros = f"return p.unit.new_zeros(1, {states}, {actions})"
            return [
                self._function("rewards", "ptm", "Tensor", doc, [zeros]),
                self._function(
                    "reward_terms", "ptm", "dict[str, Tensor]", "No terms.", ["return {}"]
                ),
            ]
        total = ["return sum(reward_terms(p, t, m).values())"]
        return [self._function("rewards", "ptm", "Tensor", doc, total), self._reward_terms()]

    def _reward_terms(self) -> str:
        states, actions = prod(self.sizes), prod(self.action_sizes)
        used = [self.terms, *(self.chances if self.noisy_rewards else [])]
        body = ["f = field(p, t, m)"] if self._read(used, "f") else []
        own = [*self.sizes, *self.action_sizes]
        if self.noisy_rewards:
            given = "f" if self._read(used, "f") else "Field()"
            by_state, by_action = self._weight_sizes()
            shape = _commas([*by_state, *by_action, *self.noise_sizes])
            given = given if not self.plan.running.marginals or "f" in given else "field(p, t, m)"
            body.append(f"chance = weights(p, t, {given}).reshape(-1, {shape})")
            axes = _commas([*own, *self.noise_sizes])
            flat = f"{states}, {actions}, {prod(self.noise_sizes)}"
            result = f"(v * chance).expand(-1, {axes}).reshape(-1, {flat}).sum(-1)"
            rank = self.rank
        else:
            result = f"v.expand(-1, {_commas(own)}).reshape(-1, {states}, {actions})"
            rank = 1 + len(own)
        body += self._values(rank, self._read([self.terms], "sae"))
        body += self._widen(rank, [self.terms])
        body.append(f"terms = {self.terms.call()}")
        body += ["return {", f"    name: {result}", "    for name, v in terms.items()", "}"]
        doc = "Each named expected reward, [B, S, A]."
        return self._function("reward_terms", "ptm", "dict[str, Tensor]", doc, body)

    def _has_running(self) -> bool:
        return any(not term.final for term in self.population.rewards)

    def _final_rewards(self) -> str:
        states = prod(self.sizes)
        doc = "Reward at the end, [B, S]; m is the law of the states, [B, *S]."
        if not self._has_final():
            zeros = [f"return p.unit.new_zeros(1, {states})"]
            return self._function("final_rewards", "ptm", "Tensor", doc, zeros)
        rank = 1 + len(self.sizes)
        body = []
        if self._read([self.final], "f"):
            marginals = self.plan.final.marginals
            given = [i for i in "pt" if i in self.final_reads]
            given += [marginal_of_law(self.plan, v, final=True) for v in marginals]
            body.append(f"f = _wide_final(_final_field({', '.join(given)}), {rank})")
        body += self._values(rank, self._read([self.final], "s"))
        body += self._widen(rank, [self.final], field="final")
        body.append(f"total = sum({self.final.call()}.values())")
        body.append(f"return total.expand(-1, {_commas(self.sizes)}).reshape(-1, {states})")
        return self._function("final_rewards", "ptm", "Tensor", doc, body)

    def _kernel(self) -> str:
        states, actions = prod(self.sizes), prod(self.action_sizes)
        axes = _commas([*self.sizes, *self.action_sizes, *self.sizes])
        body = [
            "f = field(p, t, m)",
            "to, chance = torch.broadcast_tensors(successors(p, t, f), weights(p, t, f))",
            f"dense = chance.new_zeros(len(chance), {states}, {actions}, {states})",
            f"return dense.scatter_add(3, to, chance).reshape(-1, {axes})",
        ]
        doc = "Dense kernel, [B or 1, *S, *A, *S]; m is the joint law."
        return self._function("kernel", "ptm", "Tensor", doc, body)

    def _push(self) -> str:
        states, actions = prod(self.sizes), prod(self.action_sizes)
        body = [
            "f = field(p, t, m)",
            f"mass = m.reshape(-1, {states}, {actions}, 1) * weights(p, t, f)",
            "to, mass = torch.broadcast_tensors(successors(p, t, f), mass)",
            f"after = mass.new_zeros(len(mass), {states})",
            "after = after.scatter_add(1, to.flatten(1), mass.flatten(1))",
            f"return after.reshape(-1, {_commas(self.sizes)})",
        ]
        doc = "Law of the states one stage after the joint law m, [B, *S]."
        return self._function("push", "ptm", "Tensor", doc, body)

    def _sample(self) -> str:
        """`_sample`: values of all noises of agents."""
        body = self._widen(3, self.chances)
        letters = self._read(self.chances, "sa")
        kinds = {"s": "State", "a": "Action"}
        body += [f"{i} = {kinds[i]}(*(v[..., None] for v in {i}))" for i in letters]
        values: dict[str, str] = {}
        results = []
        for noise, made, size in zip(
            self.population.noises, self.chances, self.noise_sizes, strict=True
        ):
            name = self._field_of(noise)
            here = dict(values)
            here[noise.name] = f"_axis({self._first(noise)}, {size}, 2, 3, p.unit.device)"
            chance = made.call(here)
            if not self._reads_itself(noise.name, noise.density, "noise"):
                chance += f".expand(-1, -1, {size})"
            self.shared.helpers |= {"_draw", "_axis"}
            drawn = offset(f"_draw({chance}, z.{name})", -self._first(noise))
            local = f"{name}_value"
            body.append(f"{local} = {drawn}")
            values[noise.name] = f"{local}[..., None]"
            results.append(f"{name}={local}")
        body.append(f"return Noise({', '.join(results)})")
        letters = "".join(i for i in "ptfsa" if i in self._read(self.chances, "ptfsa") or i == "p")
        doc = "Values of the noises of N agents, [B, N], from uniforms z."
        return self._function("_sample", f"{letters}z", "Noise", doc, body)

    def _step(self) -> str:
        functions = [self.next, self.terms, *self.chances]
        body = ["f = field_of_agents(p, t, s, a)"] if self._read(functions, "f") else []
        if self.chances:
            letters = [i for i in "ptfsa" if i in self._read(self.chances, "ptfsa") or i == "p"]
            if self._read([self.next, self.terms], "e"):
                body.append(f"e = _sample({', '.join([*letters, 'z'])})")
        shown = [self.next, self.terms] if self._has_running() else [self.next]
        body += self._widen(2, shown)
        first = self._field_of(self.states[0])
        self.shared.helpers.add("_with_agents")
        if self._has_running():
            body.append(f"reward = _with_agents(sum({self.terms.call()}.values()), s.{first})")
        else:
            body.append(f"reward = p.unit.new_zeros(s.{first}.shape)")
        body.append(f"after = {self.next.call()}")
        body.append(f"return State(*(_with_agents(v, s.{first}) for v in after)), reward")
        doc = "Next states and rewards of N agents, [B, N], from uniforms z."
        return self._function("step", "ptsaz", "tuple[State, Tensor]", doc, body)

    def _observe(self) -> str:
        doc = "What a policy may read, each [B, N]."
        if not self.population.observe:
            return self._function("observe", "ptsf", "dict[str, Tensor]", doc, ["return {}"])
        first = self._field_of(self.states[0])
        self.shared.helpers.add("_with_agents")
        body = self._widen(2, [self.observed])
        body.append(f"seen = {self.observed.call()}")
        body.append(f"return {{name: _with_agents(v, s.{first}) for name, v in seen.items()}}")
        return self._function("observe", "ptsf", "dict[str, Tensor]", doc, body)


def _commas(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
