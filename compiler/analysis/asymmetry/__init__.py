"""How far a game of unlike players is from the game of their average: alpha and beta.

alpha is the largest l1 distance between the next law of one player and that of the average player
at the same state, action and law of the others, beta the same for rewards, in absolute value.
Yardim and He, "Exploiting approximate symmetry for efficient multi-agent reinforcement learning"
(L4DC 2025, arXiv:2408.15173), definitions 3 to 6. The average is over the law of the hidden
traits, or over the players that stand in files: the game that the tables of a spec are of.
"""
