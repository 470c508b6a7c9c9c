"""seeds.yaml: how many seeds each variant of a dataset trains, where it is more than run.seeds.

`convnet decide` writes it. A number below that of run.seeds has no effect.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, RootModel, ValidationError

from convnet.params.messages import nearest
from convnet.params.schema import Numbers, Params
from convnet.system.errors import UserError
from convnet.system.files import write_text

FILE = "seeds.yaml"
HEADER = """\
# Numbers of seeds that are larger than that of run.seeds, by dataset and variant. `convnet decide` writes this file.
"""


class _Content(RootModel[dict[str, dict[str, Annotated[int, Field(ge=1, strict=True)]]]]):
    """The whole file."""


def with_numbers(params: Params, path: Path) -> Params:
    """Return the settings with the numbers of a file; without the file as they are.

    Raises:
        UserError: the file is not valid, or its numbers do not go together with params.yaml.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
        numbers = _Content.model_validate(content).root
    except FileNotFoundError:
        return params
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{path.name}: {key} is {first['input']!r}; write dataset: variant: number, 1 or more"
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: not UTF-8
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    found = params.with_numbers(numbers)
    _check(found, path.name)
    return found


def write_numbers(numbers: Numbers, path: Path) -> None:
    """Write the file."""
    content = {dataset: dict(of_dataset) for dataset, of_dataset in numbers.items()}
    write_text(path, HEADER + yaml.safe_dump(content, sort_keys=False))


def _check(params: Params, name: str) -> None:
    for dataset, numbers in params.numbers.items():
        if dataset not in params.datasets:
            raise UserError(f"{name} names {dataset!r}, which is not defined{nearest(dataset, list(params.datasets))}")
        for variant in numbers:
            if variant not in params.variants:
                known = list(params.variants)
                raise UserError(f"{name}: {dataset} names {variant!r}, which is not defined{nearest(variant, known)}")
        _check_start(params, dataset, name)
        if params.tuning.trials and any(
            params.tuning.seed in params.seeds_of(dataset, variant) for variant in params.run.variants
        ):
            raise UserError(
                f"{name}: a variant of {dataset} trains seed {params.tuning.seed}, which is tuning.seed; change that"
            )


def _check_start(params: Params, dataset: str, name: str) -> None:
    """Fine-tuning starts from the model of the same seed."""
    start = params.fine_tune.start
    for variant in params.run.fine_tune_variants:
        wanted, has = (len(params.seeds_of(dataset, of)) for of in (variant, start))
        if wanted > has:
            raise UserError(
                f"{name}: {variant} of {dataset} has {wanted} seeds, but it starts from {start}, which has {has}. "
                f"Raise the number of {start}"
            )


def raised(numbers: Numbers, changes: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Return numbers with larger ones for (dataset, variant)."""
    result = {dataset: dict(of_dataset) for dataset, of_dataset in numbers.items()}
    for (dataset, variant), number in changes.items():
        of_dataset = result.setdefault(dataset, {})
        of_dataset[variant] = max(of_dataset.get(variant, 0), number)
    return result
