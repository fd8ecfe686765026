"""The rules of matching: plain values in, decisions out; no I/O, no clock, no randomness.

Read in this order: policy.py, work.py and capacity.py, agents.py (what there is), inputs.py (what the engine is told), decisions.py
(what it answers), book.py (all state of one pool), matching.py (who fits whom), step.py (moves), settling.py
(what they set free is matched), relaxing.py, then the rules: requests.py, presence.py, reservations.py, transfers.py,
pulling.py, asking.py, lending.py, reconcile.py; engine.py ties them together.
"""
