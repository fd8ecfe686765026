"""This file starts the desk service."""

from libs.service.process import main
from services.desk.flow import build
from services.desk.settings import Settings

if __name__ == "__main__":
    main("desk", Settings, build)
