"""CCR-1: the same simulated conversations for every routing policy, scored on deadlines and fairness.

Owns: worlds, the event simulation, scores, the baselines that routers in use correspond to, closed forms to check it by.
Reads: nothing but its parameters; a policy reads a `Floor` and nothing else.
Invariants: one seed is one world, whatever the policy; no policy is shown work, patience, speed or what is to come.
Start: `python -m bench.routing --help`.
"""
