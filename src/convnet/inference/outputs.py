"""Where results may be written."""

from pathlib import Path

from convnet.system.errors import UserError


def check_regular(output: Path) -> None:
    """Refuse a device, a pipe or a socket, which would be replaced by a file. A link is replaced; its target stays.

    Raises:
        UserError: `output` exists, and is neither a file nor a folder.
    """
    if output.exists() and not output.is_file() and not output.is_dir():
        raise UserError(f"--output {output} is a device or a pipe, not a file; name a new file, or leave --output out")


def check_file(output: Path) -> None:
    """Refuse all but a regular file and a new one.

    Raises:
        UserError: `output` is a folder, a device, a pipe or a socket.
    """
    if output.is_dir():
        raise UserError(f"--output {output} is a folder: name a file in it")
    check_regular(output)
