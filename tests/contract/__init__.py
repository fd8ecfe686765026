"""Contract tests: topics, types, examples and flows agree."""
