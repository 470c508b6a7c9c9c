"""Read the parts of an official division from folder names: `train`, `Test Data`, `seg_train`, `rps-test-set`."""

import re
from collections.abc import Mapping
from typing import Literal

from convnet.system.errors import UserError

Part = Literal["train", "validation", "test", "unlabelled"]
WORDS: dict[Part, str] = {
    "train": "train(?:ing)?|trn",
    "validation": "val(?:id(?:ation)?)?|dev(?:elopment)?|eval(?:uation)?",
    "test": "test(?:ing)?|tst|hold ?out",
    "unlabelled": "pred(?:ict(?:ions?)?)?|unlabell?ed|inference",
}
# Words that add nothing to the name of a part.
FILLERS = "(?: ?(?:sets?|data|datasets?|images?|imgs?|photos?|split|folder|dir|part|samples?))*"
_WORD = "(?:" + "|".join(f"(?P<{part}>{word})" for part, word in WORDS.items()) + ")"
_ENDS = re.compile(rf"(?:(?P<stem>.+) )?{_WORD}{FILLERS}(?: ?\d+)?")
_BEGINS = re.compile(rf"{_WORD}{FILLERS} (?P<stem>.+)")


def part_of(name: str) -> tuple[Part, str] | None:
    """Return the part that a folder's name states and the rest of the name, or None."""
    plain = _plain(name)
    found = _ENDS.fullmatch(plain) or _BEGINS.fullmatch(plain)
    if found is None:
        return None
    part = next(part for part in WORDS if found[part])
    return part, found["stem"] or ""


def is_filler(name: str) -> bool:
    """Return whether a folder's name is only a word such as `images` or `data`."""
    return re.fullmatch(FILLERS, " " + _plain(name)) is not None


def parts_among(inner: Mapping[str, set[str]]) -> dict[str, Part]:
    """Return the part of each of some sibling folders; empty where the folders do not divide a dataset.

    Args:
        inner: the names of the folders inside each sibling, by the sibling's name.

    Raises:
        UserError: a folder without a part is beside a division, or the names mix classes and parts.
    """
    known = {name: found for name in inner if (found := part_of(name))}
    parts = _with_evaluation({name: part for name, (part, _) in known.items()})
    stems = {stem for _, stem in known.values()}
    others = sorted(set(inner) - set(known))
    if not known:
        return {}
    if not others:
        if stems == {""} or (len(stems) == 1 and len(set(parts.values())) > 1):
            return parts
        _reject_class_parts(known)
        several = len(set(parts.values())) == len(parts) > 1
        return parts if several and _share_folders(inner) else {}
    if len(stems) > 1 or "train" in parts.values() or stems == {""} or len(others) > 1:
        # One such name may be a class (a train beside a bus). Two of them are a division with a stray folder.
        if len(set(parts.values())) > 1 and (len(stems) == 1 or _share_folders({name: inner[name] for name in known})):
            raise UserError(
                f"the folder {others[0]!r} is beside folders of an official split ({', '.join(sorted(known))}): "
                f"move it away, or leave it out with --ignore {others[0]!r}"
            )
        return {}
    # `rps` beside `rps-test-set`: the bare name is the training part.
    if stems == {_plain(others[0])} and _share_folders(inner):
        return {**parts, others[0]: "train"}
    return {}


def _with_evaluation(parts: dict[str, Part]) -> dict[str, Part]:
    """Take `evaluation` beside `validation` as the test part that is missing."""
    evaluated = {name for name, part in parts.items() if part == "validation" and "eval" in _plain(name)}
    others = {name for name, part in parts.items() if part == "validation"} - evaluated
    if "test" in parts.values() or not others:
        return parts
    return {name: "test" if name in evaluated else part for name, part in parts.items()}


def _plain(name: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"[\s_.-]+", " ", words).strip().lower()


def _share_folders(inner: Mapping[str, set[str]]) -> bool:
    """Return whether two of the siblings hold a folder of one name."""
    names = [name for folders in inner.values() for name in folders]
    return len(set(names)) < len(names)


def _reject_class_parts(known: Mapping[str, tuple[Part, str]]) -> None:
    """Refuse `cats_train`, `cats_test`, `dogs_train`, `dogs_test`."""
    parts_of_stem: dict[str, set[Part]] = {}
    for part, stem in known.values():
        parts_of_stem.setdefault(stem, set()).add(part)
    if len(parts_of_stem) > 1 and all(len(parts) > 1 for parts in parts_of_stem.values()):
        first = sorted(known)[0]
        part, stem = known[first]
        raise UserError(
            f"the folders {', '.join(map(repr, sorted(known)[:4]))} name a class and a part at once: "
            f"move {first!r} to '{part}/{stem}', and the others likewise"
        )
