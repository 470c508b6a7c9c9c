"""What is wrong in params.yaml, said in one sentence: the key, the value, and the nearest valid name."""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from convnet.system.errors import UserError


def check_known(key: str, name: str, names: Mapping[str, Any]) -> None:
    """Refuse a name that is not among `names`; `key` is where it was written, in the file or on the command line.

    Raises:
        UserError: it is not; the sentence gives the nearest one.
    """
    if name not in names:
        where = key if key.startswith("--") else f"params.yaml: {key}"
        raise UserError(f"{where} names {name!r}, which is not defined{nearest(name, list(names))}")


def merge(section: Any, overrides: Mapping[str, Any], where: str) -> Any:
    """Return `section` with `overrides`, validated again.

    Raises:
        UserError: an override is unknown, of a wrong type or out of range; the sentence points to `where`.
    """
    if not overrides:
        return section
    return validate(type(section), section.model_dump() | dict(overrides), where)


def validate(model: type[Any], content: Any, where: str) -> Any:
    """Return `content` as a `model`.

    Raises:
        UserError: one sentence on the first thing that is wrong: its key below `where`, its value, the nearest name.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(_sentence(model, error.errors()[0], where)) from None


def _sentence(model: type[BaseModel], error: Any, where: str) -> str:
    """Return one pydantic error as a sentence: key, value, what is wrong, nearest name."""
    path = [str(part) for part in error["loc"]]
    key = ".".join([*([where] if where else []), *path]) or "the file"
    value = error.get("input")
    match error["type"]:
        case "extra_forbidden" | "invalid_key":  # the latter is a number where a name belongs
            fields = _fields_at(model, path[:-1])
            return f"params.yaml: unknown key {key}{nearest(path[-1], fields)}"
        case "missing":
            return f"params.yaml: {key} is missing; the committed params.yaml shows what it looks like"
        case "float_type" if isinstance(value, str):
            return (
                f"params.yaml: {key} is the text {value!r}, not a number; write it with a point, as in 0.001 or 1.0e-3"
            )
        case "value_error":
            return f"params.yaml: {key}: {error['ctx']['error']}"
        case "literal_error":
            return f"params.yaml: {key} is {value!r}; it must be {error['ctx']['expected']}"
    reason = error["msg"][max(error["msg"].find("should "), 0) :]  # without pydantic's word for what it found
    return f"params.yaml: {key} is {value!r}; it {reason}"


def _fields_at(model: Any, path: list[str]) -> list[str]:
    """Return the valid keys of the section that `path` leads to, as far as its types name them."""
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field is not None else model
        candidates = [annotation, *_arguments(annotation)]
        sections = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if sections:
            model = sections[0]
    return list(getattr(model, "model_fields", {}))


def _arguments(annotation: Any) -> list[Any]:
    found = []
    for argument in getattr(annotation, "__args__", ()):
        found += [argument, *_arguments(argument)]
    return found


def nearest(name: str, names: list[str]) -> str:
    """Return the end of a sentence that helps who mistyped `name`: the nearest of `names`, or all of them."""
    same = [candidate for candidate in names if candidate.casefold() == name.casefold()]
    if close := same or difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f"; did you mean {close[0]!r}?"
    return f"; valid names are {', '.join(names)}" if names else ""
