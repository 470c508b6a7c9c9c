"""Run a command of DVC in this process."""

from pathlib import Path
from typing import Any

ADVICE = "Use `dvc push`"  # the last line of `dvc repro`, whether there is a remote or not
SETTINGS = (".dvc/config", ".dvc/config.local")


def run_dvc(*arguments: str) -> int:
    """Run `dvc` with arguments in the current folder, without its advice on a remote that the project does not have.

    Returns:
        The exit code.
    """
    # Imported late: the import takes a second.
    from dvc.cli import main
    from dvc.ui import ui

    if not _has_remote():
        write = ui.write

        def write_others(*objects: Any, **options: Any) -> None:
            if not str(objects[:1]).startswith(f"('{ADVICE}"):
                write(*objects, **options)

        ui.write = write_others
    return int(main(list(arguments)))


def _has_remote() -> bool:
    return any("['remote " in Path(path).read_text("utf-8") for path in SETTINGS if Path(path).is_file())
