"""This file starts the router."""

from libs.service.process import main
from services.router.flow import build
from services.router.settings import Settings

if __name__ == "__main__":
    main("router", Settings, build)
