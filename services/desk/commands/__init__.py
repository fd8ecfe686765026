"""From what an agent asks to what came of it.

Read in this order: requests.py (what may be asked), orders.py (who may ask it, and the record it becomes), desk.py (publish,
wait for the event that answers, tell).
"""
