"""The real calls of August 1999 as days of the routing benchmark: real arrivals, types, rosters and service times.

Owns: the call records (`bench/routing/data/`), the days made from them, the rules that the bank's own routing is compared by.
Reads: nothing but the records and a seed; a policy reads a `Floor` and nothing else, as in CCR-1.
Invariants: one seed is one day; what a policy is told of handle times and loads comes from earlier days alone.
"""
