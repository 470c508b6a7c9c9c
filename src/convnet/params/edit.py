"""Change params.yaml by program, in the layout of `dvc exp run -S`; comments and order stay."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from convnet.params.load import load_params
from convnet.system.files import atomic_path


def write_dataset(path: Path, name: str, entry: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Add or update `datasets.<name>`, and change `run`.

    Of an entry that exists, only the keys in `entry` change; mappings are merged. The new text is checked as a whole
    before it replaces the old one.

    Raises:
        UserError: the result would not be valid; the file is as it was.
    """
    yaml = YAML()  # as DVC sets it up
    yaml.default_flow_style = False
    text = path.read_text("utf-8")
    content = yaml.load(text)
    if name not in content["datasets"]:
        # First: behind the last one, the blank line and the comment of the next section would come between.
        content["datasets"].insert(0, name, CommentedMap())
    _merge(content, {"datasets": {name: entry}, "run": run})
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
