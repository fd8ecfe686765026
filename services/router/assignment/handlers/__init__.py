"""Between the wire and the engine: receiving.py turns events into inputs, publishing.py turns decisions into events."""
