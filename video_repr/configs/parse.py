"""Configs from JSON."""

import dataclasses
import types
import typing
from typing import Literal

from video_repr.configs.config import DERIVED
from video_repr.configs.config import LATER
from video_repr.configs.config import Config
from video_repr.configs.config import TrainingConfig
from video_repr.errors import InputError


def from_dict(values, of=Config, where="config", defaults=False):
    """A config from the result of `Config.to_dict`, or its JSON.

    Args:
        values: nested dicts; "kind" chooses between several dataclasses.
        of: dataclass to make.
        where: what the values are, for messages.
        defaults: whether missing fields get their default, if there is one,
            rather than raise an error.

    Raises:
        InputError: for unknown, missing or wrongly typed fields.
    """
    if not isinstance(values, dict):
        raise InputError(
            f"Expected {where} to be an object. Received: {values!r}"
        )
    kinds = typing.get_type_hints(of)
    if of is TrainingConfig:
        # They follow from the others.
        values = {k: v for k, v in values.items() if k not in DERIVED}
    unknown = set(values) - set(kinds)
    missing = {
        field.name
        for field in dataclasses.fields(of)
        if field.name not in values
        and LATER not in field.metadata
        and not (defaults and _has_default(field))
    }
    if unknown or missing:
        raise InputError(
            f"Expected the fields {', '.join(kinds)} in {where}. Received: "
            f"unknown {sorted(unknown)}, missing {sorted(missing)}"
        )
    return of(
        **{
            name: _typed(value, kinds[name], f"{where}.{name}", defaults)
            for name, value in values.items()
        }
    )


def _has_default(field):
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _typed(value, expected, where, defaults):
    if dataclasses.is_dataclass(expected):
        return from_dict(value, expected, where, defaults)
    arguments = typing.get_args(expected)
    if arguments and all(map(dataclasses.is_dataclass, arguments)):
        kind, fields = _of_kind(value, arguments, where)
        return from_dict(fields, kind, where, defaults)
    item = next(iter(arguments), None)
    if dataclasses.is_dataclass(item) and isinstance(value, (list, tuple)):
        return tuple(
            from_dict(v, item, f"{where}[{i}]", defaults)
            for i, v in enumerate(value)
        )
    if not _is_a(value, expected):
        raise InputError(
            f"Expected {where} to be {_in_words(expected)}. Received: {value!r}"
        )
    # JSON has no tuples.
    return tuple(value) if isinstance(value, list) else value


def _of_kind(values, kinds, where):
    """The dataclass that "kind" names, and the other fields."""
    if not isinstance(values, dict):
        raise InputError(
            f"Expected {where} to be an object. Received: {values!r}"
        )
    # Before 0.2 there was no "kind".
    before = "clip_dataset" if "path" in values else "moving_mnist"
    name = values.get("kind", before)
    by_name = {kind.kind: kind for kind in kinds}
    if not isinstance(name, str) or name not in by_name:
        raise InputError(
            f"Expected {where}.kind to be one of {', '.join(by_name)}. "
            f"Received: {name!r}"
        )
    return by_name[name], {k: v for k, v in values.items() if k != "kind"}


def _is_a(value, kind):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            return False
        if arguments[-1] is not ...:
            return len(value) == len(arguments) and all(
                map(_is_a, value, arguments)
            )
        return all(_is_a(item, arguments[0]) for item in value)
    if arguments:
        return any(_is_a(value, choice) for choice in arguments)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _in_words(expected):
    if typing.get_origin(expected) is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(expected)))
    if typing.get_origin(expected) in (typing.Union, types.UnionType):
        return " or ".join(map(_in_words, typing.get_args(expected)))
    if expected is types.NoneType:
        return "None"
    return getattr(expected, "__name__", str(expected))
