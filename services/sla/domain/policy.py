"""This file holds what a clock pins of the business configuration when it is started."""

from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.vocabulary import Metric
from services.sla.domain.calendar import ALWAYS_OPEN


@dataclass(frozen=True, slots=True)
class Policy:
    """Targets of one policy in one version of the workspace; None means no clock of that metric."""

    id: str
    workspace_version: str
    first_response: timedelta | None = None
    next_response: timedelta | None = None
    resolution: timedelta | None = None
    warn_at: tuple[float, ...] = ()
    """Shares of the target at which to warn, ascending."""
    calendar: str = ALWAYS_OPEN.version
    """Its version."""

    def target(self, metric: Metric) -> timedelta | None:
        match metric:
            case Metric.FIRST_RESPONSE:
                return self.first_response
            case Metric.NEXT_RESPONSE:
                return self.next_response
            case Metric.RESOLUTION:
                return self.resolution
            case _:
                return None
