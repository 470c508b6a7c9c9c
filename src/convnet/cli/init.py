"""A user's own images made a dataset of the pipeline: `convnet init photos/`, then `dvc repro`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.data.suggestions import Advice, Look, advise, dataset_name, look_at, problems
from convnet.params.edit import write_dataset
from convnet.params.load import load_params
from convnet.params.schema import Dataset, Params
from convnet.system.errors import UserError, printable

# A folder of models/ that holds the chosen models, and two keys whose changes DVC ignores.
RESERVED = {"best", "size", "nfiles"}


@dataclass(frozen=True)
class Wishes:
    """What the user asks for.

    Attributes:
        source: the folder or the archive.
        name: of the dataset; None: after the source.
        rendered: whether the images are drawn by a computer.
        backbone: its name; None: what suits.
        keep: whether the other datasets of the run stay in it.
    """

    source: Path
    name: str | None = None
    rendered: bool = False
    backbone: str | None = None
    keep: bool = False


def initialise(wishes: Wishes, params_path: Path = Path("params.yaml")) -> str:
    """Look at the images, write their entry into params.yaml, and return what to tell the user.

    An entry of the same name and folder keeps all its settings; only its fingerprint is brought up to date.

    Raises:
        UserError: no dataset can be made of the images, the name is taken, the entry that is there has other
            settings than the wishes, or params.yaml is not valid; then nothing is written.
    """
    params = load_params(params_path)
    name = wishes.name or dataset_name(wishes.source)
    _check_name(name)
    folder = _as_written(wishes.source, params_path.resolve().parent)
    known = _known_folder(params, name, folder)
    if known:
        _check_settings(wishes, name, params.datasets[name])
    kind = params.datasets[name].kind if known else "rendered" if wishes.rendered else "photographs"
    look = look_at(wishes.source, name, kind, params)
    run = [*params.run.datasets, *([] if name in params.run.datasets else [name])] if wishes.keep else [name]
    if known:
        changed = params.datasets[name].source.fingerprint != look.fingerprint
        write_dataset(params_path, name, {"source": {"fingerprint": look.fingerprint}}, run)
        what = "the images have changed, its fingerprint is new" if changed else "the images are the same"
        done = [f"datasets.{name} is known; {what}; all its settings stay"]
    else:
        advice = advise(look, kind, params, wishes.backbone)
        write_dataset(params_path, name, _entry(folder, kind, look, advice), run)
        done = [f"datasets.{name} is added to {params_path.name}", *(f"  {reason}" for reason in advice.reasons)]
    lines = [*_found(name, look), "", *done, f"run.datasets is {', '.join(run)}", "next: dvc repro"]
    return "\n".join(map(printable, lines)) + "\n"


def _found(name: str, look: Look) -> list[str]:
    counts, sizes = look.counts, look.summary["image_sizes"]
    width = max(map(len, counts))
    splits = look.summary["counts"]
    lines = [f"{name}: {sum(counts.values()):,} usable images in {len(counts)} classes"]
    for class_name, count in counts.items():
        parts = ", ".join(f"{splits[split][class_name]:,} {split}" for split in splits)
        lines.append(f"  {class_name:<{width}}  {count:>6,}  ({parts})")
    shown = {key: "x".join(map(str, reversed(size))) for key, size in sizes.items()}
    lines.append(f"sizes (width x height): {shown['smallest']} to {shown['largest']}, median {shown['median']}")
    found = problems(look)
    return [*lines, "no problems found"] if not found else [*lines, "problems:", *(f"  {line}" for line in found)]


def _entry(folder: str, kind: str, look: Look, advice: Advice) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": kind,
        "source": {"folder": folder, "fingerprint": look.fingerprint},
        "image_size": list(advice.image_size),
        "backbone": advice.backbone,
    }
    # Every section has a batch size of its own, and none may exceed the training images.
    sections = {section: {"batch_size": advice.batch_size} for section in ("training", "transfer", "fine_tune")}
    return entry | sections | {"transfer": sections["transfer"] | {"pooling": advice.pooling}}


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*|[0-9][a-z0-9_]*[a-z_][a-z0-9_]*", name) or name in RESERVED:
        raise UserError(
            f"{name!r} cannot name a dataset: give --name with small letters, digits and underscores, not all digits, "
            f"and none of {', '.join(sorted(RESERVED))}"
        )


def _as_written(source: Path, project: Path) -> str:
    """Return the path as params.yaml keeps it: relative to the project inside it, absolute elsewhere."""
    place = source.expanduser().resolve()
    return str(place.relative_to(project) if place.is_relative_to(project) else place)


def _known_folder(params: Params, name: str, folder: str) -> bool:
    """Return whether the dataset is already there with this folder.

    Raises:
        UserError: the name belongs to another dataset.
    """
    if name not in params.datasets:
        return False
    if params.datasets[name].source.folder == folder:
        return True
    raise UserError(f"datasets.{name} in params.yaml is another dataset: give this one another name with --name")


def _check_settings(wishes: Wishes, name: str, dataset: Dataset) -> None:
    """Refuse options that a dataset's entry contradicts: it holds the user's settings, and they stay.

    Raises:
        UserError: `--rendered` or `--backbone` asks for something else than the entry says.
    """
    if wishes.rendered and dataset.kind != "rendered":
        raise UserError(
            f"--rendered would change datasets.{name}, which is in params.yaml already: set its `kind` to rendered "
            "there, and run the command without --rendered"
        )
    if wishes.backbone is not None and wishes.backbone != dataset.backbone:
        raise UserError(
            f"--backbone {wishes.backbone} would change datasets.{name}, which is in params.yaml already: set its "
            "`backbone` there, and run the command without --backbone"
        )
