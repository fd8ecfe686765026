"""The conversations flow: contact points, who is behind them, their conversations and messages, and what agents ask of them."""
