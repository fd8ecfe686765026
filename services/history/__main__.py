"""This file starts the history service."""

from libs.service.process import main
from services.history.flow import build
from services.history.settings import Settings

if __name__ == "__main__":
    main("history", Settings, build)
