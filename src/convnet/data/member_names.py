"""Names of files inside an archive."""

import re
import unicodedata
from dataclasses import dataclass

# Of macOS, Windows, network storage and Linux.
CLUTTER = {
    "__macosx", "thumbs.db", "desktop.ini", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot",
    "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip
# Notes beside a photograph: where it was downloaded, how it was edited, what a photo service knows.
SIDECARS = (":zone.identifier", "%3azone.identifier", ".aae", ".xmp", ".thm", ".json")
LONGEST = 4096  # bytes of a name: Linux accepts no longer path
DEEPEST = 100  # folders around a file
SHOWN = 200  # characters of a name in a message
UNREADABLE = {"Cc", "Cs", "Zl", "Zp"}  # Unicode categories: control characters, surrogates, line and paragraph ends


@dataclass(frozen=True, order=True)
class Member:
    """A file in an archive: its name with `/` between folders, and its unpacked size in bytes."""

    name: str
    bytes: int


def is_clutter(part: str) -> bool:
    """Return whether a file or folder name is hidden or belongs to the system, such as `Thumbs.db`."""
    plain = part.lower()
    return part.startswith(".") or plain in CLUTTER or plain.endswith(SIDECARS)


def escape_name(name: str) -> str:
    """Return `name` as `readable_name` does, but in a form that `unescape_name` reverses.

    Args:
        name: a file name as `os.fsdecode` gives it, non-UTF-8 bytes as surrogates.
    """
    # A percent sign stays unless it starts an escape.
    return readable_name(re.sub(r"%(?=[0-9A-F]{2})", "%25", name))


def readable_name(name: str) -> str:
    r"""Return `name` in UTF-8 on one line, for any table, terminal and file system.

    Control characters, `\\`, bytes outside UTF-8 and the colon of a drive letter become `%0A` and so on.
    """
    name = "".join(_percent(c) if c == "\\" or unicodedata.category(c) in UNREADABLE else c for c in name)
    return re.sub(r"^([A-Za-z]):", r"\1%3A", name)


def unescape_name(name: str) -> str:
    """Return the name that `escape_name` was given."""
    raw = re.sub(rb"%([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), name.encode())
    return raw.decode("utf-8", "surrogateescape")


def fault_of_name(name: str) -> str | None:
    """Return why a member's name is rejected, or None."""
    # The length comes first: the cost of all other work grows with the depth.
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        return f"has a name of more than {LONGEST:,} bytes"
    if name.rstrip("/").count("/") > DEEPEST:
        return f"is more than {DEEPEST} folders deep"
    if ".." in name.split("/"):
        return "leads out of the archive by '..'"  # otherwise skipped without a message, as a hidden file
    return None


def shortened(name: str) -> str:
    """Return the first characters of a name that is too long for a message, and any other name unchanged."""
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}..."


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
