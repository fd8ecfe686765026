"""This file starts the SLA service."""

from libs.service.process import main
from services.sla.flow import build
from services.sla.settings import Settings

if __name__ == "__main__":
    main("sla", Settings, build)
