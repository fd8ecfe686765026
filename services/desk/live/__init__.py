"""What open conversations, agents and clocks are now, in memory, ahead of the projection; and who gets which event.

Read in this order: view.py (state and addressing), ring.py (the last events), cursor.py, frames.py (JSON), hub.py (all together).
"""
