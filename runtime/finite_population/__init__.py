"""What a policy of the mean-field limit is worth among finitely many players, with numbers.

Yardim and He, "Exploiting approximate symmetry for efficient multi-agent reinforcement learning"
(L4DC 2025), bound the gain of a player who leaves an equilibrium of the induced mean-field game by
alpha, beta and 1 / sqrt(N). Here such bounds are numbers: distances are l1 throughout, K = N - 1
is the number of the others, X the set of pairs (state, action).
"""
