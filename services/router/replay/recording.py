"""This file says which topics of a recording matching read and wrote."""

from pathlib import Path

from libs.flow import recording
from libs.flow.recording import Recording

INPUTS = ("work", "agent-commands")
OUTPUTS = ("assignments", "agents")
BETWEEN = "lending"
"""What pools say to each other: decided in one lane, read in another."""
READ, WRITTEN = (*INPUTS, BETWEEN), (*OUTPUTS, BETWEEN)
NEEDED = ("work", "agent-commands", "assignments")


def read(path: Path) -> Recording:
    """Raises RecordingError."""
    return recording.read(path, (*INPUTS, *OUTPUTS, BETWEEN), needed=NEEDED)


def lanes(found: Recording) -> list[int]:
    """Partitions of which an input was recorded."""
    return sorted({lane for topic in READ for lane in found.topics.get(topic, {})})
