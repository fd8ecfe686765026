"""Tests at this level; see docs/architecture.md."""
