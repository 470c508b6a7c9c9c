"""Rewrite the code under `deps` in dvc.yaml to what each stage's script imports; run it after changing an import."""

import re
from pathlib import Path

from imports import PROJECT, imported_files

CODE = re.compile(r" +- (?:src|stages)/\S+\.py\n")


def main() -> None:
    """Replace every stage's block of code files; what else stands in dvc.yaml keeps its place."""
    path = PROJECT / "dvc.yaml"
    path.write_text("".join(map(_stage, re.split(r"(?m)^(?=  \w+:$)", path.read_text("utf-8")))), "utf-8")


def _stage(text: str) -> str:
    script = re.search(r"python (stages/\w+\.py)", text)
    if not script or not CODE.search(text):  # a stage may borrow another's list by a YAML alias
        return text
    files = iter(sorted(imported_files(Path(PROJECT / script[1]))))
    lines = text.splitlines(keepends=True)
    first = [bool(CODE.fullmatch(line)) for line in lines].index(True)
    indent = lines[first][: lines[first].index("-")]
    kept = [line for line in lines if not CODE.fullmatch(line)]
    return "".join([*kept[:first], *(f"{indent}- {file}\n" for file in files), *kept[first:]])


if __name__ == "__main__":
    main()
