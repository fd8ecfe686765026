"""This file starts the delivery service."""

from libs.service.process import main
from services.delivery.flow import build
from services.delivery.settings import Settings

if __name__ == "__main__":
    main("delivery", Settings, build)
