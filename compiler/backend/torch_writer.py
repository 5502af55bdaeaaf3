"""What the writers of public functions share: sizes, widened inputs, member functions."""

from collections.abc import Sequence

from mfdsl.compiler.backend.plan import rewards_read_noise
from mfdsl.compiler.backend.torch_field import FieldNames, field_functions
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
from mfdsl.compiler.ir.walk import given

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
    """The functions of one member, and the pieces that functions of the contract are made of.

    Helpers that turn out to be needed are collected in `shared`.
    """

    def __init__(self, shared: Shared, running: FieldNames, final: FieldNames) -> None:
        self.shared = shared
        self.plan = shared.plan
        population = self.plan.model.population
        self.population = population
        self.states = population.states
        self.sizes = [self.size(s) for s in population.states]
        self.action_sizes = [self.size(a) for a in population.actions]
        self.noise_sizes = [self.size(n) for n in population.noises]
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
            shared, self.plan.running, final=False
        )
        self.final_field: list[str] = []
        self.final_reads: frozenset[str] = frozenset()
        if self.plan.final.marginals:
            self.final_field, self.final_reads = field_functions(
                shared, self.plan.final, final=True
            )
        self.fields = running
        self.final_fields = final
        self.noisy_rewards = rewards_read_noise(self.plan.model)

    def size(self, variable: Variable) -> int:
        """Number of values of a variable."""
        return self.plan.model.types[variable.type].size

    def first(self, variable: Variable) -> int:
        """The lowest value of a variable."""
        return self.plan.model.types[variable.type].first

    def field_of(self, variable: Variable) -> str:
        """The field of a variable in its named tuple."""
        return self.shared.variables[variable.name]

    def has_final(self) -> bool:
        """Whether there is a final reward."""
        return any(term.final for term in self.population.rewards)

    def has_running(self) -> bool:
        """Whether there is a reward at decisions."""
        return any(not term.final for term in self.population.rewards)

    def function(self, name: str, letters: str, result: str, doc: str, body: Sequence[str]) -> str:
        """A function of the contract with the arguments named by `letters`."""
        arguments = [ARGUMENTS[i] for i in letters]
        lines = [f'"""{doc}"""', *body]
        return "\n    ".join([signature(name, arguments, result), *lines]) + "\n"

    def widen(self, rank: int | str, functions: Sequence[Function], field: str = "f") -> list[str]:
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

    def values(self, rank: int, letters: str) -> list[str]:
        """Statements that bind s, a, e to all values along their axes."""
        names = {"s": "_states", "a": "_actions", "e": "_noises"}
        return [f"{i} = {names[i]}({rank}, p.unit.device)" for i in letters]

    def read(self, functions: Sequence[Function], letters: str) -> str:
        """The inputs among `letters` that some functions read."""
        read = {i for function in functions for i in function.inputs}
        return "".join(i for i in letters if i in read)

    def reads_itself(self, name: str, node: int, sort: str) -> bool:
        """Whether the probability of a variable depends on its own value."""
        return name in self.plan.leaves[self.plan.at[node]].names(sort)

    def weight_sizes(self) -> tuple[list[int], list[int]]:
        """Sizes of the state and action axes of `weights`: 1 where no chance depends on them."""
        read = [self.plan.leaves[self.plan.at[given(n.density)]] for n in self.population.noises]
        by_state = any(leaves.names("state") for leaves in read)
        by_action = any(leaves.names("action") for leaves in read)
        states = self.sizes if by_state else [1] * len(self.sizes)
        actions = self.action_sizes if by_action else [1] * len(self.action_sizes)
        return states, actions


def commas(sizes: Sequence[int]) -> str:
    """Sizes as arguments."""
    return ", ".join(map(str, sizes))
