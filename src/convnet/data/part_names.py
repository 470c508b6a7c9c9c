"""Read the parts of an official division from folder names: `train`, `Test Data`, `seg_train`, `rps-test-set`."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Literal

from convnet.system.errors import UserError

Part = Literal["train", "validation", "test", "unlabelled"]
WORDS: dict[Part, str] = {
    "train": "train(?:ing)?|trn",
    "validation": "val(?:id(?:at(?:ion|e))?)?|vld|dev(?:elopment)?|eval(?:uation)?",
    "test": "test(?:ing)?|tst|h[eo]ld ?out",
    "unlabelled": "pred(?:ict(?:ions?)?)?|unlabell?ed|inference",
}
# Names only where all folders of a dataset have such ones, because `te` and `tr` are also languages.
ABBREVIATIONS: dict[str, Part] = {"tr": "train", "va": "validation", "vl": "validation", "te": "test", "ts": "test"}
# Words that add nothing to the name of a part.
FILLERS = "(?: ?(?:sets?|data|datasets?|images?|imgs?|photos?|split|folder|dir|part|samples?))*"
_WORD = "(?:" + "|".join(f"(?P<{part}>{word})" for part, word in WORDS.items()) + ")"
_ENDS = re.compile(rf"(?:(?P<stem>.+) )?{_WORD}{FILLERS}(?: ?\d+)?")
_BOTH = re.compile(rf"(?:(?P<stem>.+) )?train(?:ing)?(?: and)? ?val(?:id(?:ation)?)?{FILLERS}(?: ?\d+)?")
_BEGINS = re.compile(rf"{_WORD}{FILLERS} (?P<stem>.+)")


@lru_cache(maxsize=2**17)
def part_of(name: str) -> tuple[Part, str] | None:
    """Return the part that a folder's name states and the rest of the name, or None."""
    # The second form is that of `tRaIn`, which is not camel case.
    for plain in (_plain(name), _plain(name.lower())):
        if found := _ENDS.fullmatch(plain) or _BEGINS.fullmatch(plain):
            part = next(part for part in WORDS if found[part])
            return part, found["stem"] or ""
    return None


def abbreviated_part(name: str) -> tuple[Part, str] | None:
    """Return the part that an abbreviation such as `tr` names, in the form of `part_of`, or None."""
    part = ABBREVIATIONS.get(name.strip().lower())
    return (part, "") if part else None


def is_filler(name: str) -> bool:
    """Return whether a folder's name is only a word such as `images` or `data`."""
    return re.fullmatch(FILLERS, " " + _plain(name)) is not None


def parts_among(inner: Mapping[str, set[str]], around: Collection[str] = ()) -> dict[str, Part]:
    """Return the part of each of some sibling folders; empty where the folders do not divide a dataset.

    Args:
        inner: the names of the folders inside each sibling, by the sibling's name.
        around: names of the folders around the siblings.

    Raises:
        UserError: a folder without a part is beside a division, or the names mix classes and parts.
    """
    known = {name: found for name in inner if (found := part_of(name))} | _abbreviated(inner)
    if "train" not in (part for part, _ in known.values()):
        known |= _combined(inner)
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
            stray = f"{others[0]}/{others[0]}" if others[0] in around else others[0]
            raise UserError(
                f"the folder {others[0]!r} is beside folders of an official split ({', '.join(sorted(known))}): "
                f"move it away, or leave it out with --ignore {stray!r}"
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


def _combined(inner: Mapping[str, set[str]]) -> dict[str, tuple[Part, str]]:
    """Return `trainval` and `train_val`, which hold both parts, as the training part."""
    found = {name: match for name in inner if (match := _BOTH.fullmatch(_plain(name)))}
    return {name: ("train", match["stem"] or "") for name, match in found.items()}


def _abbreviated(inner: Mapping[str, set[str]]) -> dict[str, tuple[Part, str]]:
    """Return the parts of `tr`, `va` and `te`, or of `tr`, `val` and `te`, if no other folder is beside them."""
    found = {name: part for name in inner if (part := abbreviated_part(name) or part_of(name))}
    parts = {part for part, stem in found.values() if not stem}
    whole = len(found) == len(inner) == len(parts) == 3 and parts == {"train", "validation", "test"}
    return found if whole and _share_folders(inner) else {}


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
