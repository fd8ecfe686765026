"""How fast the router's engine decides in a pool of ten thousand agents: `python -m bench.matching`."""
