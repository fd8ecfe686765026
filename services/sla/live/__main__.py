"""This file starts the live service levels."""

from libs.service.process import main
from services.sla.live.flow import build
from services.sla.live.settings import Settings

if __name__ == "__main__":
    main("sla.live", Settings, build)
