"""This file wakes all lanes of a flow that wait for the same moment at once, so that what they do then shares a transaction."""

import asyncio
from collections.abc import Callable
from datetime import datetime

Wake = Callable[[], None]


class Alarms:
    """One timer of the event loop for each moment that somebody waits for."""

    def __init__(self) -> None:
        self._waiting: dict[datetime, dict[Wake, None]] = {}

    def set(self, moment: datetime, seconds: float, wake: Wake) -> None:
        """Call `wake` at the moment, which is so many seconds away. Once for each `wake`."""
        waiting = self._waiting.get(moment)
        if waiting is None:
            waiting = self._waiting[moment] = {}
            asyncio.get_running_loop().call_later(seconds, self._ring, moment)
        waiting[wake] = None

    def cancel(self, moment: datetime, wake: Wake) -> None:
        self._waiting.get(moment, {}).pop(wake, None)

    def _ring(self, moment: datetime) -> None:
        for wake in self._waiting.pop(moment):
            wake()
