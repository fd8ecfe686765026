"""This file knows every payload model by its type name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libs.contracts.payloads.base import Payload

_by_type: "dict[str, type[Payload]]" = {}


def register(model: "type[Payload]") -> None:
    """Called once per model when it is defined. Raises ValueError where two models claim one type."""
    other = _by_type.setdefault(model.type, model)
    if other is not model and other.__qualname__ != model.__qualname__:
        raise ValueError(
            f"type {model.type!r} is claimed by {other.__qualname__} and by {model.__qualname__}"
        )


def model_of(type_name: str) -> "type[Payload] | None":
    """The model for a wire type, or None where this build does not know it."""
    return _by_type.get(type_name)


def all_models() -> "dict[str, type[Payload]]":
    """Every known type name and its model."""
    return dict(_by_type)
