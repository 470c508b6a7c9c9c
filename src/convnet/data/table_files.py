"""Find the files that the rows of a label table name."""

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from convnet.data.class_folders import may_be_image
from convnet.data.formats import SUFFIXES
from convnet.data.member_names import DEEPEST

Key = tuple[str, str]  # archive and member


class FileIndex:
    """Files by the end of their path.

    A row names a file by the end of its path, `1.jpg` or `cats/1.jpg`. If no file has this name, letter case does not
    count, and an image suffix may be missing in the row or written in another way: `.jpeg` for `.jpg`.
    """

    def __init__(self, places: Sequence[Key]) -> None:
        self._around = _shared_folders([name for _, name in places])
        self._by_name: dict[str, list[Key]] = {}  # also by the last two names, because many folders may hold a `1.jpg`
        self._by_stem: dict[str, list[Key]] = {}
        self._several: dict[str, list[Key]] = {}  # files of a row that names many, because a table may repeat it
        for key in places:
            name = _last(_folded(key[1]))
            for end in {name, _last(_folded(key[1]), 2)}:
                self._by_name.setdefault(end, []).append(key)
            if may_be_image(name):
                self._by_stem.setdefault(PurePosixPath(name).stem, []).append(key)

    def find(self, file: str) -> list[Key]:
        """Return the files that a row can mean, of which one is right."""
        if file in self._several:
            return self._several[file]
        found = self._search(file)
        if len(found) > 1:
            self._several[file] = found
        return found

    def _search(self, file: str) -> list[Key]:
        wanted = _composed(file)
        same = self._by_name.get(_last(_folded(file), 2), [])
        found = [key for key in same if _ends_with(_composed(key[1]), wanted)]
        found = found or [key for key in same if _ends_with(_folded(key[1]), _folded(file))]
        if not found:
            found = self._of_other_suffix(_folded(file))
        exact = [key for key in found if _composed(key[1]) == wanted]
        return exact if len(exact) == 1 else found

    def _of_other_suffix(self, file: str) -> list[Key]:
        """Return the files that a row can mean if its suffix is missing, or is another one of the same format."""
        kind = SUFFIXES.get(PurePosixPath(file).suffix)
        stem = _without_suffix(file) if kind else file
        near = self._by_stem.get(_last(stem), [])
        return [
            key
            for key in near
            if _ends_with(_without_suffix(_folded(key[1])), stem)
            and kind in (None, SUFFIXES.get(PurePosixPath(_folded(key[1])).suffix))
        ]

    def find_without(self, file: str, folders: int) -> list[Key]:
        """Return the files that a row can mean without so many of its first folders.

        A bare name that is left means only a file in no folder of its own, because `cats/1.jpg` is not `dogs/1.jpg`.
        """
        rest = "/".join(file.split("/")[folders:])
        found = self.find(rest)
        return [key for key in found if key[1].count("/") <= self._around] if folders and "/" not in rest else found

    def folders_to_drop(self, files: Sequence[str]) -> int:
        """Return how many folders to drop from the beginning of all rows, so that most of them name a file.

        Absolute paths and paths of another machine share such folders: `C:/photos/cats/1.jpg`.
        """
        shared = min(_shared_folders(files), DEEPEST)
        if not shared or all(self.find(file) for file in files):
            return 0
        return max(range(shared + 1), key=lambda count: sum(bool(self.find_without(file, count)) for file in files))


def _shared_folders(files: Sequence[str]) -> int:
    folders = [file.split("/")[:-1] for file in files]
    first, last = min(folders, default=[]), max(folders, default=[])
    same = [one == other for one, other in zip(first, last, strict=False)]
    return same.index(False) if False in same else len(same)


def _ends_with(path: str, wanted: str) -> bool:
    return f"/{path}".endswith(f"/{wanted}")


def _last(path: str, count: int = 1) -> str:
    return "/".join(path.rsplit("/", count)[-count:])


def _without_suffix(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix)


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())
