"""The whole system on one machine, with simulated providers, customers and agents around it: `python -m deploy.demo`.

organisation  the workspace it runs with          processes  the six services as processes
shapes        webhooks as the providers make them  provider   plays Meta, Telegram and a custom channel
customers     who writes, and what next            traffic    customers at a steady rate
visitors      web chat                             agents     people at the desk's API
ledger        what was said and what arrived       reconcile  is every promise kept
display       the live table                       run        all of it, from start to reconciliation
"""
