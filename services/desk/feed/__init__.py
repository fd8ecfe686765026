"""Connections of agents' desktops: one stream of frames, over WebSocket (socket.py) or server-sent events (events.py)."""
