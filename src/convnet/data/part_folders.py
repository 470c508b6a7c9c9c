"""Find the folders that divide a dataset into train, validation and test."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from convnet.data.folder_checks import repeated_inside, some
from convnet.data.part_names import Part, is_filler, part_of, parts_among
from convnet.system.errors import UserError

Folders = Sequence[list[str]]  # paths


@dataclass(frozen=True)
class Parts:
    """The folders of an official division.

    Attributes:
        top: depth of the outermost folders that are not alone.
        names: part of each folder's name; empty without a division.
        inside: whether the parts are inside the class folders: `cat/train`, `cat/test`.
    """

    top: int
    names: dict[str, Part] = field(default_factory=dict)
    inside: bool = False

    def folder(self, path: list[str]) -> str | None:
        """Return the folder around a file that is a part, or None."""
        depth = self.top + self.inside
        return path[depth] if len(path) > depth + 1 and path[depth] in self.names else None

    def below(self, path: list[str], depths: dict[str, int]) -> list[str]:
        """Return the path from the class folder on.

        Args:
            path: of a file or a folder.
            depths: of the class folders in each part, from `class_depth`.
        """
        if self.inside:
            return [*path[self.top : self.top + 1], *path[self.top + 2 :]]
        known = len(path) > self.top and path[self.top] in depths
        return path[depths[path[self.top]] if known else self.top :]


def find_parts(known: Folders) -> Parts:
    """Find the outermost folders that are not alone, and the parts they are or hold.

    Args:
        known: the folders around each file, and empty folders.

    Raises:
        UserError: folder names mix classes and parts, or several folders hold a division each.
    """
    top = 0
    while True:
        inner = inner_names(known, top)
        parts = parts_among(inner, known[0][:top] if known else ())
        if parts:
            return Parts(top, parts)
        if len(inner) != 1 or not any(inner.values()):
            return _parts_inside(known, top, inner)
        top += 1


def inner_names(known: Folders, depth: int) -> dict[str, set[str]]:
    """Return the names of the folders inside each folder that is `depth` folders deep."""
    found: dict[str, set[str]] = {}
    for parts in known:
        if len(parts) > depth:
            found.setdefault(parts[depth], set()).update(parts[depth + 1 : depth + 2])
    return found


def class_depth(known: Folders, parts: Parts, name: str) -> int:
    """Return the depth of the class folders in a part: below `training_set/training_set` or `train/images`."""
    if parts.inside:
        return parts.top
    depth = parts.top + 1
    inside = [path for path in known if len(path) > parts.top and path[parts.top] == name]
    while True:
        inner = inner_names(inside, depth)
        only = next(iter(inner), "")
        found = part_of(only)
        doubled = only == name or (found is not None and found[0] == parts.names[name]) or is_filler(only)
        if len(inner) != 1 or not inner[only] or not doubled:
            return depth
        depth += 1


def _parts_inside(known: Folders, top: int, inner: dict[str, set[str]]) -> Parts:
    """Return the parts inside the class folders, if all folders there are parts.

    Raises:
        UserError: the parts hold classes, so that each outer folder is a dataset of its own.
    """
    if len(inner) < 2 or not all(inner.values()):
        return Parts(top)
    holders: dict[str, set[str]] = {}
    for outer, names in inner.items():
        for name in names:
            holders.setdefault(name, set()).add(outer)
    if any(part_of(name) is None for name in holders):
        return Parts(top)
    parts = parts_among(holders)
    if "train" not in parts.values() or len(set(parts.values())) < 2:
        return Parts(top)
    deeper = {outer: {path[top + 2] for path in known if len(path) > top + 2 and path[top] == outer} for outer in inner}
    if repeated_inside(deeper):
        first = min(inner)
        raise UserError(
            f"the folders {some(sorted(inner))} each hold a division ({', '.join(sorted(parts))}): "
            f"give one of them, such as {first!r}, to `convnet init`"
        )
    return Parts(top, parts, inside=True)
