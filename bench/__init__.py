"""Benchmarks. Each prints ours beside a floor from the same run: `python -m bench --help`."""
