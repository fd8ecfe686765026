"""This file asks the package `holidays` which days are public holidays somewhere."""

import re
import warnings
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import holidays

from libs.workspace.model import Holidays

YEARS = range(2020, 2050)
"""Of which holidays are asked for. No target reaches farther than a few years, and dates far ahead are estimates anyway."""

_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Holiday:
    """`estimated`: it follows the moon and is computed; the authorities may still announce another day."""

    date: date
    name: str
    estimated: bool


def parse_country(text: str) -> str:
    """Raises ValueError saying what was expected."""
    try:
        _of(Holidays(text)) if _COUNTRY.fullmatch(text) else _never()
    except NotImplementedError:
        raise ValueError("expected a country as two capital letters (ISO 3166), such as ID") from None
    return text


def subdivisions(country: str) -> tuple[str, ...]:
    """Of a known country: states, provinces."""
    return tuple(_of(Holidays(country)).subdivisions)


def categories(country: str) -> tuple[str, ...]:
    """Of a known country, the kinds of holidays of which there are lists."""
    return tuple(sorted(_of(Holidays(country)).supported_categories))


@cache
def public_holidays(of: Holidays) -> tuple[Holiday, ...]:
    """In order of date, in English where the package speaks it. Raises NotImplementedError where it does not know them."""
    with warnings.catch_warnings():
        # Some lists end earlier, and say so.
        warnings.simplefilter("ignore", UserWarning)
        found = _of(of, years=YEARS)
    return tuple(
        Holiday(day, name, "estimated" in name) for day, name in sorted(found.items()) if day.year in YEARS
    )


def _of(of: Holidays, **more: Any) -> holidays.HolidayBase:
    wanted: dict[str, Any] = {"subdiv": of.subdivision, "categories": of.categories, **more}
    found = holidays.country_holidays(of.country, **wanted | {"years": None})
    if "en_US" in found.supported_languages:
        wanted["language"] = "en_US"
    return holidays.country_holidays(of.country, **wanted)


def _never() -> None:
    raise NotImplementedError
