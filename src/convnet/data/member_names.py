"""What a file inside an archive may be called."""

import re
import unicodedata
from dataclasses import dataclass

CLUTTER = {"__macosx", "thumbs.db", "desktop.ini"}
LONGEST = 4096  # bytes of a name: Linux takes no longer path
DEEPEST = 100  # folders around a file
SHOWN = 200  # characters of a name in a sentence
UNREADABLE = {"Cc", "Cs", "Zl", "Zp"}  # Unicode categories: control characters, surrogates, line and paragraph ends


@dataclass(frozen=True, order=True)
class Member:
    """A file in an archive: its name with `/` between folders, and how many bytes it has when unpacked."""

    name: str
    bytes: int


def is_clutter(part: str) -> bool:
    """Return whether a file or folder name belongs to the system and not to the dataset: hidden, `Thumbs.db`, ..."""
    return part.startswith(".") or part.lower() in CLUTTER


def escape_name(name: str) -> str:
    """Return `name` as `readable_name` does, but so that `unescape_name` finds the way back.

    Args:
        name: a file name as `os.fsdecode` gives it, non-UTF-8 bytes as surrogates.
    """
    # A percent sign stays unless it would be read as an escape.
    return readable_name(re.sub(r"%(?=[0-9A-F]{2})", "%25", name))


def readable_name(name: str) -> str:
    r"""Return `name` in UTF-8 on one line: control characters, `\\` and bytes that are no UTF-8 become `%0A` and so on.

    So does the colon of a drive letter. Any table, terminal and file system holds the result.
    """
    name = "".join(_percent(c) if c == "\\" or unicodedata.category(c) in UNREADABLE else c for c in name)
    return re.sub(r"^([A-Za-z]):", r"\1%3A", name)


def unescape_name(name: str) -> str:
    """Return what `escape_name` was given."""
    raw = re.sub(rb"%([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), name.encode())
    return raw.decode("utf-8", "surrogateescape")


def fault_of_name(name: str) -> str | None:
    """Return why a member called `name` must not be trusted, or None.

    Nothing is unpacked here; an archive with such names was still not made to hold images.
    """
    # Before all else: what a name costs later grows with its depth.
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        return f"has a name of more than {LONGEST:,} bytes"
    if name.rstrip("/").count("/") > DEEPEST:
        return f"lies more than {DEEPEST} folders deep"
    if "\0" in name:
        return "holds a null character"
    if "\\" in name:
        return "holds a backslash"
    if name.startswith("/"):
        return "is an absolute path"
    if re.match(r"[A-Za-z]:", name):
        return "begins with a drive letter"
    if ".." in name.split("/"):
        return "leads out of the archive by '..'"
    return None


def shortened(name: str) -> str:
    """Return the beginning of a name that is too long for a sentence, and any other as it is."""
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}..."


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
