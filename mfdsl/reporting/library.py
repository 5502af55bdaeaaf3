"""Titles of the papers that solvers, certificates and shipped games name by an arXiv number or doi.

Who wrote them is there where the tables of solvers do not say it.
"""

TITLES = {
    "10.1007/s11537-007-0657-8": "Mean field games",
    "10.1137/S1052623403425629": (
        "Prox-method with rate of convergence O(1/t) for variational inequalities with Lipschitz"
        " continuous monotone operators and smooth convex-concave saddle point problems"
    ),
    "10.1214/aoms/1177706705": "Accelerated stochastic approximation",
    "1302.6416": ("Discrete time mean-field stochastic linear-quadratic optimal control problems"),
    "1308.2172": "Mean field games and systemic risk",
    "1404.5741": "Linear-quadratic mean field games",
    "1507.06280": "Learning in mean field games: the fictitious play",
    "1706.02275": "Multi-agent actor-critic for mixed cooperative-competitive environments",
    "1802.05438": "Mean field multi-agent reinforcement learning",
    "1901.09585": "Learning mean-field games",
    "1908.00261": (
        "On the theory of policy gradient methods: optimality, approximation, and distribution"
        " shift"
    ),
    "1911.00025": "PIC: permutation invariant critic for multi-agent deep reinforcement learning",
    "2002.04112": "Connecting GANs, mean-field games, and optimal transport",
    "2003.06069": "A general framework for learning mean-field games",
    "2007.03458": (
        "Fictitious play for mean field games: continuous time analysis and applications"
    ),
    "2007.04818": "A policy iteration method for mean field games",
    "2011.09533": "Is independent learning all you need in the StarCraft multi-agent challenge?",
    "2102.00135": (
        "Policy mirror descent for reinforcement learning: linear convergence, new sampling"
        " complexity, and generalized problem classes"
    ),
    "2102.01585": (
        "Approximately solving mean field games via entropy-regularized deep reinforcement learning"
    ),
    "2103.00623": "Scaling up mean field games with online mirror descent",
    "2103.01955": "The surprising effectiveness of PPO in cooperative multi-agent games",
    "2105.07933": "Mean field games flock! The reinforcement learning way",
    "2105.08268": (
        "Permutation invariant policy optimization for mean-field multi-agent reinforcement"
        " learning: a principled approach"
    ),
    "2106.03787": "Concave utility reinforcement learning: the mean-field game viewpoint",
    "2203.11973": "Scalable deep reinforcement learning algorithms for mean field games",
    "2206.09608": "MF-OMO: an optimization formulation of mean-field games",
    "2208.10138": "Learning correlated equilibria in mean-field games",
    "2303.10665": "Major-minor mean field multi-agent reinforcement learning",
    "2304.08630": "MFGLib: a library for mean-field games",
    "2312.10787": "Learning discrete-time major-minor mean field games",
    "2403.03552": (
        "Population-aware online mirror descent for mean-field games by deep reinforcement learning"
    ),
    "2405.00282": (
        "MF-OML: online mean-field reinforcement learning with occupation measures for large"
        " population games"
    ),
    "2408.15173": (
        "Exploiting approximate symmetry for efficient multi-agent reinforcement learning"
    ),
    "2602.12517": ("Bench-MFG: a benchmark suite for learning in stationary mean field games"),
    "2602.20141": (
        "Recurrent structural policy gradient for partially observable mean field games"
    ),
}

# Papers behind what a solver rests on, by the claim of the certificate.
CLAIMS = {
    "monotone": "Lasry and Lions 2007, doi 10.1007/s11537-007-0657-8",
    "potential": "Cardaliaguet and Hadikhanloo 2017, arXiv 1507.06280",
    "contraction": "Guo, Hu, Xu and Zhang 2019, arXiv 1901.09585",
}
