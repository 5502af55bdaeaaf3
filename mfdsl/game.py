"""A game that compiled: what a spec becomes for Python, before anything is run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mfdsl.artifact import artifact_key
from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import (
    Compilation,
    Options,
    ParameterValue,
    compile_file,
    compile_text,
)
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.reduced import Reduced
from mfdsl.compiler.syntax.format import format_source
from mfdsl.compiler.tabular.choices import ranks
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.compiler.tabular.listed import as_large_tables
from mfdsl.errors import UsageError
from mfdsl.parameters import given_values
from mfdsl.planning import ALONG, drawn_states, only_paths
from mfdsl.report import Report
from mfdsl.settings import bins_of_block, with_settings_checked
from mfdsl.shipped import find_spec
from mfdsl.summary import model_card

if TYPE_CHECKING:
    from mfdsl.compiler.analysis.certificate import Certificate
    from mfdsl.runtime.agents import AgentProgram
    from mfdsl.runtime.program import Most, Params, Program
    from mfdsl.runtime.simulator import Simulator

Parameters = Mapping[str, ParameterValue]
Device = Literal["cpu", "cuda", "auto"]
Dtype = Literal["float32", "float64"]
Target = Literal["torch", "agents", "tables", "json", "mfg"]


@dataclass(frozen=True, eq=False)
class Game:
    """A spec that compiled: its model, its module text and, once asked for, its program.

    `parameters` are the values it was compiled with in place of defaults, `bins` the points of the
    grids on which its tables put continuous variables: those of the spec's `solver` block unless
    somebody asks for others. `path` is the file that it was read from, None for a text.
    """

    compilation: Compilation
    parameters: Parameters = field(default_factory=dict)
    bins: Bins = field(default_factory=Bins)
    path: Path | None = None

    def __repr__(self) -> str:
        """The name, the players and the parameters that are not at their defaults."""
        players = ", ".join(player.name for player in self.model.players)
        set_to = "".join(f", {name}={value!r}" for name, value in self.parameters.items())
        return f"Game({self.name}: {players}{set_to})"

    @property
    def model(self) -> Model:
        """The checked model: plain data."""
        return self.compilation.require_model()

    @property
    def name(self) -> str:
        """The name that the spec gives itself."""
        return self.model.name

    @cached_property
    def key(self) -> str:
        """What tells the game from others and from its own other versions: see `artifact_key`."""
        return artifact_key(self.compilation)

    def compiled_at(
        self, parameters: Parameters, spread: Mapping[str, tuple[float, float]] | None = None
    ) -> Compilation:
        """The spec once more, at other values of its parameters, or for intervals of some."""
        options = Options(parameters=dict(parameters), spread=spread or {})
        if self.path is not None:
            return compile_file(self.path, options)
        name = self.compilation.name
        return compile_text(self.compilation.sources[name].text, name=name, options=options)

    def check(self) -> Report:
        """Diagnostics and certificates."""
        return Report(self.compilation)

    def emit(self, target: Target = "torch") -> str:
        """The game as a standalone torch module, as JSON, or as a formatted spec.

        `torch` has the tables of a tabular game and the agents of any other; `agents` always has
        the agents, `tables` always the tables.

        Raises:
            ValueError: `target` is something else.
            UsageError: the game has no tables.
        """
        match target:
            case "torch" | "agents" | "tables":
                name, digest = Path(self.compilation.name).name, self.key[:8]
                line_of = self.compilation.line_of
                if target == "tables" or (target == "torch" and self.model.tabular):
                    return emit_torch(
                        self._with_tables, source_name=name, digest=digest, line_of=line_of
                    )
                from mfdsl.compiler.backend.particles.emit import emit_particles

                return emit_particles(self.model, source_name=name, digest=digest, line_of=line_of)
            case "json":
                return self.model.model_dump_json(indent=1) + "\n"
            case "mfg":
                source = self.compilation.sources[self.compilation.name]
                return format_source(source.text, source.name)
        raise ValueError(f"a game is emitted as {', '.join(get_args(Target))}, not as {target!r}")

    @cached_property
    def reduced(self) -> Reduced | None:
        """The game as one population with finite scalars, None when it is that already.

        One that computes with arrays is written out entry by entry, and one with far more actions
        than are legal anywhere has ranks in their place.

        Raises:
            UsageError: the game has no tables.
        """
        model = self.model
        from mfdsl.compiler.tabular.frames import NoTables

        try:
            if model.tabular and not model.computes_arrays and ranks(model) is None:
                if model.population.observe or model.population.observes_law:
                    from mfdsl.compiler.tabular.hidden import check_seen_by_members

                    check_seen_by_members(model, model.population)
                return None
            from mfdsl.compiler.tabular.reduce import reduced

            return reduced(model, self.bins)
        except NoTables as error:
            advice = _ways(model, self.bins, error.advice)
            raise UsageError(f"`{self.name}` has no tables: {error}", advice) from None

    @cached_property
    def _with_tables(self) -> Model:
        """The model of one population whose tables the program has."""
        return as_large_tables(self.model) if self.reduced is None else self.reduced.model

    @cached_property
    def certificates(self) -> "tuple[Certificate, ...]":
        """What the check proved, and what a short look at slopes and structure adds."""
        from mfdsl.compiler.analysis.regularity import regularity

        return (*self.compilation.certificates, *regularity(self.model, "solve"))

    def certificates_of(self, claims: Collection[str]) -> "tuple[Certificate, ...]":
        """What the check proved, and what a short look adds on these claims about the structure."""
        from mfdsl.compiler.analysis.effort import structure

        return (*self.compilation.certificates, *structure(self.model, claims, "solve"))

    @cached_property
    def program(self) -> "Program":
        """The module with the tables of the game as pure tensor functions; imports torch.

        Raises:
            UsageError: the game has no tables.
        """
        from mfdsl.runtime.program import load_program

        small = self.reduced
        if small is None:
            from mfdsl.compiler.tabular.hidden import sees_stages

            only = self.model.population
            exact = not (only.observe or only.observes_law) or sees_stages(self.model)
            most = _reach(self.model)
            text = self.emit("torch")
            return load_program(text, self._with_tables, self.name, exact=exact, most=most)
        return load_program(
            self.emit("tables"),
            small.model,
            self.name,
            populations=small.populations,
            exact=small.exact,
            grids={c.axis: (c.low, c.step) for c in small.grids if c.step is not None},
            most=_reach(small.model),
        )

    @cached_property
    def agents(self) -> "AgentProgram":
        """The module of agents loaded as pure tensor functions; imports torch."""
        from mfdsl.runtime.agents import load_agents

        return load_agents(self.emit("agents"), self.model, self.name)

    def agents_of(self, variant: Literal["weighted", "held"]) -> "AgentProgram":
        """The module of agents with weights of members, or with laws held fixed for gradients.

        Raises:
            UsageError: the game has `w2`, whose members have no weights.
        """
        from mfdsl.compiler.backend.particles.emit import emit_particles
        from mfdsl.compiler.ir import marginal
        from mfdsl.runtime.agents import load_agents

        try:
            model = getattr(marginal, variant)(self.model)
        except ValueError as error:
            raise UsageError(
                str(error), "`--opt credit=team`, or gradients along the path"
            ) from None
        name, key = Path(self.compilation.name).name, self.key
        line_of = self.compilation.line_of
        text = emit_particles(model, source_name=name, digest=key[:8], line_of=line_of)
        return load_agents(text, model, self.name)

    def simulator(
        self,
        *,
        agents: int | Mapping[str, int] | None = None,
        batch: int = 1,
        seed: int = 0,
        device: Device = "cpu",
        dtype: Dtype = "float64",
        compile: bool = False,
    ) -> "Simulator":
        """B games of N agents to step through; imports torch.

        Raises:
            SimulationError: a size is out of range, or the machine has too little memory.
            UsageError: CUDA was asked for and there is none, or the seed is none.
        """
        import torch

        from mfdsl.runtime.simulator import Simulator
        from mfdsl.solving import find_device

        check_choices(device, dtype, seed)
        params = self.agents.params(dtype=getattr(torch, dtype), device=find_device(device))
        return Simulator(
            self.agents, params, agents=agents, batch=batch, seed=seed, compile=compile
        )

    def _repr_markdown_(self) -> str:
        return model_card(self.model, self.compilation.certificates)

    def _repr_html_(self) -> str:
        from mfdsl.reporting.notebook import game_html

        return game_html(self.compilation)


def _reach(model: Model) -> "Most | None":
    """For a horizon without end, which has to be cut somewhere: how far from 0 rewards are at most,
    at any parameters that the program may get.
    """
    if model.horizon.kind != "infinite":
        return None
    return partial(_most, model)


def _most(model: Model, params: "Params", batched: Collection[str]) -> float | None:
    from mfdsl.compiler.analysis.paid import most_paid

    names = {p.name for p in model.parameters}
    given = {
        name: value.detach().double().cpu().numpy()
        for name, value in params._asdict().items()
        if name in names
    }
    columns = {name: given.pop(name) for name in batched}
    return most_paid(model, given, columns)


def load(
    path: str | Path | None = None, *, text: str | None = None, params: Parameters | None = None
) -> Game:
    """The game of a file, of a shipped game's name, or of a text.

    Raises:
        CompileError: the spec has errors; printing it shows them with their places.
        UsageError: what is neither a file nor the name of a shipped game.
        TypeError: not exactly one of `path` and `text` is given.
    """
    options, file = Options(parameters=given_values(params or {})), None
    if text is not None and path is None:
        compilation = compile_text(text, options=options)
    elif path is not None and text is None:
        if not isinstance(path, str | Path):
            raise UsageError(
                "a game is a file, the name of a shipped game, or what `load` gives, and here it is"
                f" of type {type(path).__name__}"
            )
        file = find_spec(path)
        compilation = compile_file(file, options)
    else:
        raise TypeError("load takes a path or a text, one of the two")
    compilation = with_settings_checked(compilation)
    bins = bins_of_block(compilation.require_model())
    return Game(compilation, options.parameters, bins, file)


def loaded(game: Game | str | Path, params: Parameters | None) -> Game:
    """A game as it is, or that of a file or of a shipped game's name.

    Raises:
        CompileError: the spec has errors.
        UsageError: a name that is neither a file nor a shipped game.
        TypeError: `params` for a game that is loaded already.
    """
    if not isinstance(game, Game):
        return load(game, params=params)
    if params:
        raise TypeError("the game is loaded already: give params to `load`")
    return game


def check_choices(device: str | None, dtype: str | None, seed: int = 0) -> None:
    """Refuse a device or a precision that there is not, or a seed that is none.

    Raises:
        UsageError: says what is known.
    """
    for name, value, known in (("device", device, Device), ("dtype", dtype, Dtype)):
        if value is not None and value not in get_args(known):
            raise UsageError(f"`{name}` is {value!r}", f"known: {', '.join(get_args(known))}")
    if not isinstance(seed, int) or seed < 0:
        hint = "`int(seed)`" if isinstance(seed, Integral) and seed >= 0 else None
        raise UsageError(f"a seed is a whole number from 0, not {seed!r}", hint)


def _ways(model: Model, bins: Bins, advice: str | None) -> str:
    """What to do about a game without tables: what may give it some, and who needs none."""
    general = "simulate it, or use a solver that learns from its agents"
    if (states := drawn_states(model)) is not None:
        along = f"`--solver {ALONG}` goes along drawn paths of {states}"
        return along if only_paths(model, bins) else f"{advice or general}; or {along}"
    if advice is None:
        return general
    learner = "ppo_nash" if model.objective == "nash" else "mf_ppo"
    ways = [advice, f"`--solver {learner}` learns without tables"]
    if (missing := _missing_for_paths(model)) is not None:
        ways.append(f"{missing}: then `--solver {ALONG}` goes along drawn paths")
    return "; or ".join(ways)


def _missing_for_paths(model: Model) -> str | None:
    """What a game needs for drawn paths of a continuous common state, None where nothing is known
    to open that way, or there is no such state.
    """
    from mfdsl.compiler.tabular.along import along_path
    from mfdsl.compiler.tabular.frames import NoTables

    common = [v for p in model.players if p.kind == "environment" for v in p.states]
    if model.objective != "nash" or all(model.types[v.type].finite for v in common):
        return None
    try:
        along_path(model)
    except NoTables as error:
        return error.advice
    return None
