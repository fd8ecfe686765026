"""What every service process has: settings, logs, HTTP with problem documents, health, metrics, trace context, start and drain.

Read process.py first: the life of a process. A service is five lines: `main("sla", Settings, build)`.
"""
