"""The kernel: lanes with leases and epochs, one transaction per batch, outbox, chained watermarks, timers, effects, dead letters.

Read in this order: flow.py (what a flow is), store.py (a lane's rows), batch.py (what happens to a batch), commit.py (its one
statement), lane.py (the life of a lane), ownership.py (who has which lane), publisher.py, intake.py (Kafka), runner.py (a process).
"""
