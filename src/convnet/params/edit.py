"""Change params.yaml by program, in the layout of `dvc exp run -S`; comments and order stay."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from convnet.params.load import load_params
from convnet.system.errors import UserError
from convnet.system.files import atomic_path


def write_dataset(path: Path, name: str, entry: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Add or update `datasets.<name>`, and change `run`.

    Of an entry that exists, only the keys in `entry` change; mappings are merged. The new text is checked as a whole
    before it replaces the old one.

    Raises:
        UserError: the result would not be valid; the file is as it was.
    """
    _write(path, {"datasets": {name: entry}, "run": run})


def write_backbone(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Add `backbones.<name>`, or check that its hash is the one there.

    Raises:
        UserError: the entry has another hash, or the result would not be valid; the file is as it was.
    """
    content = YAML(typ="safe").load(path.read_text("utf-8"))
    there = ((content.get("backbones") or {}).get(name) or {}).get("weights") or {}
    if there.get("sha256", entry["weights"]["sha256"]) != entry["weights"]["sha256"]:
        raise UserError(
            f"params.yaml: backbones.{name}.weights.sha256 is {there['sha256']}, but these files have "
            f"{entry['weights']['sha256']}; delete the entry if you trust them"
        )
    _write(path, {"backbones": {name: entry}})


def _write(path: Path, changes: Mapping[str, Any]) -> None:
    yaml = YAML()  # as DVC sets it up
    yaml.default_flow_style = False
    text = path.read_text("utf-8")
    content = yaml.load(text)
    for section in ("datasets", "backbones"):
        for name in changes.get(section, ()):
            if name not in content[section]:
                # First: behind the last one, the blank line and the comment of the next section would come between.
                content[section].insert(0, name, CommentedMap())
    _merge(content, changes)
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_text(buffer.getvalue(), "utf-8")
        load_params(temporary)


def _merge(target: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), Mapping):
            _merge(target[key], value)
        elif isinstance(value, Mapping):
            target[key] = CommentedMap()
            _merge(target[key], value)
        elif isinstance(value, list | tuple):
            target[key] = list(value)
        else:
            target[key] = value
