"""This file starts the ingest service."""

from libs.service.process import main
from services.ingest.flow import build
from services.ingest.settings import Settings

if __name__ == "__main__":
    main("ingest", Settings, build)
