"""This file is an agent as the desk sees it: presence, load and capacity, as matching last said."""

from dataclasses import dataclass
from datetime import datetime

from libs.contracts.vocabulary import Presence
from services.desk.domain.conversation import Done


@dataclass(frozen=True, slots=True)
class Agent:
    """One row of agent_view. The newest event replaces it; only the remembered commands are carried on."""

    agent_id: str
    pool: str
    presence: Presence
    reason: str | None
    load: int
    capacity: int
    work_item_ids: tuple[str, ...]
    version: int
    changed_at: datetime
    commands: tuple[Done, ...] = ()
