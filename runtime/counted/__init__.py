"""Games of anonymous agents simulated by how many of them are where.

With finite states, actions and noises the numbers of agents in each state are a Markov chain, and
what a step costs does not depend on how many agents there are. The law of everything that is
counted is exactly that of `mfdsl.runtime.simulator`.
"""
