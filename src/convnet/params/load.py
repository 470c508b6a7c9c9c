"""Read params.yaml."""

from pathlib import Path
from typing import Any

import yaml

from convnet.params.checks import check_params
from convnet.params.messages import validate
from convnet.params.schema import Params
from convnet.params.seeds import FILE, with_numbers
from convnet.system.errors import UserError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # in C it is several times faster
    """Rejects a key that occurs twice; YAML alone takes the last one without a warning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written: set[str] = set()
        for key, _ in node.value:
            if key.value in written:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} occurs twice", problem_mark=key.start_mark)
            written.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml, and seeds.yaml beside it.

    Raises:
        UserError: one sentence with the key, the value and the nearest valid name.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), _Loader)  # a SafeLoader
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run this command in the project's folder") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date that does not exist, or no UTF-8
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    params: Params = validate(Params, content, "")
    check_params(params)
    return with_numbers(params, path.with_name(FILE))
