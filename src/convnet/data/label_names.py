"""Read labels and groups from file names by a pattern such as `{label}.{number}`."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

from convnet.system.errors import UserError

# Tried in this order when the folders name no classes; a label then holds no digit.
PROPOSALS = (
    "{label}.{number}", "{label}__{number}", "{label}_{number}", "{label}-{number}", "{label} ({number})",
    "{label}({number})", "{label} {number}", "{label}{number}", "{number}_{label}", "{number}-{label}",
    "{number}.{label}", "{number} {label}", "{name}_{number}_{label}", "{name}-{number}-{label}",
    "{label}_{name}", "{label}-{name}",
)  # fmt: skip
# Words of cameras and programs, which name no class.
CAMERA_WORDS = {"img", "image", "dsc", "dscn", "dscf", "pxl", "photo", "pic", "frame", "file", "scan"}
FEWEST_PER_LABEL = 2
_FIELD = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class NamePattern:
    """A pattern of file names.

    `{label}` and `{group}` name what is read, `{number}` matches digits, and any other field matches any text. The
    pattern covers the name without its suffix. With `/` it also covers that many folders above the file.
    """

    text: str
    _compiled: re.Pattern[str]
    _depth: int

    @classmethod
    def parse(cls, text: str, wanted: str, option: str) -> Self:
        """Compile a pattern.

        Args:
            text: the pattern.
            wanted: the field it must have, label or group.
            option: for the message.

        Raises:
            UserError: the field is missing or is there twice.
        """
        names = _FIELD.findall(text)
        if names.count(wanted) != 1 or names.count("label") > 1 or names.count("group") > 1:
            raise UserError(
                f"{option} {text!r} needs {{{wanted}}} exactly once: write a pattern such as '{{{wanted}}}_{{number}}'"
            )
        pieces, end = [], 0
        for field in _FIELD.finditer(text):
            pieces.append(re.escape(text[end : field.start()]))
            pieces.append(_expression(field[1]))
            end = field.end()
        pieces.append(re.escape(text[end:]))
        return cls(text, re.compile("".join(pieces)), text.count("/") + 1)

    def read(self, parts: list[str]) -> dict[str, str] | None:
        """Return label and group of a file by its path, or None where the pattern does not fit."""
        found = self._compiled.fullmatch("/".join([*parts[-self._depth : -1], _stem(parts[-1])]))
        if len(parts) < self._depth or found is None:
            return None
        return {name: value.strip() for name, value in found.groupdict().items()}


def propose_pattern(files: Iterable[list[str]]) -> str | None:
    """Return a sentence with the first pattern that fits all files and gives two classes or more, or None."""
    paths = list(files)
    for text in PROPOSALS:
        pattern = NamePattern.parse(text, "label", "--label-from-name")
        counts: Counter[str] = Counter()
        for parts in paths:
            found = pattern.read(parts)
            if found is None or re.search(r"\d", found["label"]) or len(counts) > len(paths) / FEWEST_PER_LABEL:
                break
            counts[found["label"]] += 1
        else:
            classes = {name for name in counts if name.strip("_- ").lower() not in CAMERA_WORDS}
            if len(counts) > 1 and classes and min(counts.values()) >= FEWEST_PER_LABEL:
                shown = ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items())[:5])
                more = ", ..." if len(counts) > 5 else ""
                return f"the file names hold the labels {shown}{more}: add --label-from-name '{text}'"
    return None


def _expression(field: str) -> str:
    if field in ("label", "group"):
        return f"(?P<{field}>[^/]+?)"
    return r"\d+" if field == "number" else "[^/]+?"


def _stem(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{0,4}", suffix) else name
