"""Makes the decisions of a recording again: the same, to prove that they follow from what was read; others, to try a policy.

Owns: the form of a recording (a folder of JSON lines), the order in which a lane's inputs were handled, the comparison, the what-if.
Reads: a recording of `work`, `agent-commands`, `assignments` (and `agents`), and a workspace file. No broker, no database.
Emits: a verdict; under another workspace a table and a plot.
Invariants: the flow that decides here is the router's own (`services.router.assignment.flow`), handlers and engine included;
    time is what the recording says, so nothing here waits or reads a clock.
"""
