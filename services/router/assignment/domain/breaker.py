"""This file says when somebody who keeps failing is not asked for a while.

closed ── FAILURES in a row ──▶ open ── PAUSE later ──▶ one trial ── succeeds ──▶ closed
                                 ▲                        │ fails
                                 └────────────────────────┘
"""

FAILURES = 5
PAUSE = 30.0
"""Seconds. As long as the default grace of a lost agent: a restart of the other side takes less."""


class Breaker:
    """Ask `may_try` before each try, and tell how each one ended that it allowed. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_until: float | None = None
        self._trying = False

    @property
    def open(self) -> bool:
        return self._closed_until is not None

    def refuses(self, now: float) -> bool:
        return self._closed_until is not None and (self._trying or now < self._closed_until)

    def may_try(self, now: float) -> bool:
        """While it is open: one try after each pause, and no other until that one has ended."""
        if self.refuses(now):
            return False
        self._trying = self.open
        return True

    def succeeded(self) -> None:
        self._failures, self._closed_until, self._trying = 0, None, False

    def failed(self, now: float) -> None:
        """Tries that began before it opened count too, and move its pause."""
        self._failures, self._trying = self._failures + 1, False
        if self._failures >= FAILURES:
            self._closed_until = now + PAUSE

    def gave_up(self) -> None:
        """The try ended here, in a way that says nothing about the other side."""
        self._trying = False
