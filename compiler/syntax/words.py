"""Keywords by the place where they start something, and what each one declares."""

TOP_LEVEL = frozenset(
    "model library import param fn enum grid graph environment major population objective horizon "
    "discount assume solver".split()
)
EVERYWHERE = frozenset({"let", "require"})
MEMBERS = frozenset("state trait noise weights action reward cost final observe agents".split())
PLAYERS = frozenset({"environment", "major", "population"})
HEADERS = frozenset({"model", "library"})
STARTERS = TOP_LEVEL | EVERYWHERE | MEMBERS

# Keywords that are followed by the name of what they declare, with the words for it.
DECLARES = {
    "model": "a model",
    "library": "a library",
    "import": "an imported function",
    "param": "a parameter",
    "let": "a `let`",
    "fn": "a function",
    "enum": "an enum",
    "grid": "a grid",
    "graph": "a graph",
    "environment": "an environment",
    "major": "a major",
    "population": "a population",
    "state": "a state",
    "trait": "a trait",
    "noise": "a noise",
    "weights": "weights between agents",
    "action": "an action",
    "reward": "a reward",
    "cost": "a cost",
    "as": "the law of a population",
    "for": "a bound variable",
    "node": "a node",
    "link": "a node",
    "objective": "an objective",
    "moves": "a set of moves",
    ".": "a part of something",
}

# Keywords that continue or join an expression and never start one.
INFIX = frozenset("then else for in mod and or where as from".split())
