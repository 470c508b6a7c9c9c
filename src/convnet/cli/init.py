"""`convnet init`: add a user's own images to params.yaml as a dataset."""

import argparse
from pathlib import Path
from typing import Any

from convnet.cli.options import standard_output
from convnet.data.suggestions import Advice, Look, advise, dataset_name, look_at, problems
from convnet.params.checks import RESERVED, is_name
from convnet.params.edit import write_dataset
from convnet.params.load import load_params
from convnet.params.schema import Dataset, Params
from convnet.system.errors import UserError, printable

HELP = "look at own images and make them a dataset in params.yaml"
EXAMPLE = "convnet init photos/ && dvc repro"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    parser.add_argument("source", metavar="FOLDER", type=Path, help="one folder per class, or an archive of them")
    parser.add_argument("--name", help="of the dataset; default: after the folder")
    parser.add_argument("--rendered", action="store_true", help="the images are rendered, not photographed")
    parser.add_argument("--backbone", help="default: one that suits the images and is available")
    parser.add_argument("--keep", action="store_true", help="keep the other datasets of the run")


def run(arguments: argparse.Namespace) -> None:
    """Add the dataset and print what was found and written."""
    options = {name: getattr(arguments, name) for name in ("name", "rendered", "backbone", "keep")}
    standard_output().write(initialise(arguments.source, **options))


def initialise(
    source: Path, name: str | None = None, rendered: bool = False, backbone: str | None = None, keep: bool = False
) -> str:
    """Look at the images, write their entry into params.yaml, and return the text to print.

    An entry of the same name and folder keeps all its settings; only its fingerprint is updated.

    Args:
        source: the folder or the archive.
        name: of the dataset; None: after the source.
        rendered: whether the images are rendered.
        backbone: its name; None: one that suits.
        keep: whether the run keeps its other datasets.

    Raises:
        UserError: the images cannot be a dataset, the name is taken, the known entry has other settings, or
            params.yaml is not valid. Nothing is written then.
    """
    path = Path("params.yaml")
    params = load_params(path)
    name = name or dataset_name(source)
    _check_name(name)
    folder = _as_written(source, Path.cwd())
    known = _known_folder(params, name, folder)
    if known:
        _check_settings(name, params.datasets[name], rendered, backbone)
    kind = params.datasets[name].kind if known else "rendered" if rendered else "photographs"
    look = look_at(source, name, kind, params)
    datasets = [*params.run.datasets, *([] if name in params.run.datasets else [name])] if keep else [name]
    if known:
        changed = params.datasets[name].source.fingerprint != look.fingerprint
        write_dataset(path, name, {"source": {"fingerprint": look.fingerprint}}, datasets)
        found = "the images have changed, its fingerprint is new" if changed else "the images are the same"
        done = [f"datasets.{name} is known; {found}; all its settings stay"]
    else:
        advice = advise(look, kind, params, backbone)
        write_dataset(path, name, _entry(folder, kind, look, advice), datasets)
        done = [f"datasets.{name} is added to {path}", *(f"  {reason}" for reason in advice.reasons)]
    lines = [*_found(name, look), "", *done, f"run.datasets is {', '.join(datasets)}", "next: dvc repro"]
    return "\n".join(map(printable, lines)) + "\n"


def _found(name: str, look: Look) -> list[str]:
    counts, splits = look.counts, look.summary["counts"]
    width = max(map(len, counts))
    lines = [f"{name}: {sum(counts.values()):,} usable images in {len(counts)} classes"]
    for class_name, count in counts.items():
        parts = ", ".join(f"{splits[split][class_name]:,} {split}" for split in splits)
        lines.append(f"  {class_name:<{width}}  {count:>6,}  ({parts})")
    shown = {key: "x".join(map(str, reversed(size))) for key, size in look.summary["image_sizes"].items()}
    lines.append(f"sizes (width x height): {shown['smallest']} to {shown['largest']}, median {shown['median']}")
    found = problems(look)
    return [*lines, "no problems found"] if not found else [*lines, "problems:", *(f"  {line}" for line in found)]


def _entry(folder: str, kind: str, look: Look, advice: Advice) -> dict[str, Any]:
    # Every section has a batch size of its own, and none may exceed the training images.
    batch = {"batch_size": advice.batch_size}
    return {
        "kind": kind,
        "source": {"folder": folder, "fingerprint": look.fingerprint},
        "image_size": list(advice.image_size),
        "backbone": advice.backbone,
        "training": batch,
        "fine_tune": dict(batch),
        "transfer": batch | {"pooling": advice.pooling},
    }


def _check_name(name: str) -> None:
    if not is_name(name):
        raise UserError(
            f"{name!r} cannot name a dataset: give --name with small letters, digits and underscores, not all digits, "
            f"and none of {', '.join(sorted(RESERVED))}"
        )


def _as_written(source: Path, project: Path) -> str:
    """Return the path as params.yaml keeps it: relative to the project inside it, absolute elsewhere."""
    place = source.expanduser().resolve()
    return str(place.relative_to(project) if place.is_relative_to(project) else place)


def _known_folder(params: Params, name: str, folder: str) -> bool:
    """Return whether params.yaml has the dataset, with this folder.

    Raises:
        UserError: the name belongs to another dataset.
    """
    if name not in params.datasets:
        return False
    if params.datasets[name].source.folder == folder:
        return True
    raise UserError(f"datasets.{name} in params.yaml is another dataset: give this one another name with --name")


def _check_settings(name: str, dataset: Dataset, rendered: bool, backbone: str | None) -> None:
    """Reject options that contradict the dataset's entry, which keeps its settings."""
    wrong = None
    if rendered and dataset.kind != "rendered":
        wrong = "--rendered", "kind", "rendered"
    elif backbone is not None and backbone != dataset.backbone:
        wrong = f"--backbone {backbone}", "backbone", backbone
    if wrong:
        option, key, value = wrong
        raise UserError(
            f"{option} would change datasets.{name}, which is in params.yaml already: set its `{key}` to {value} "
            f"there, and run the command without {option}"
        )
