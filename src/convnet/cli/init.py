"""`convnet init`: add a user's own images to params.yaml as a dataset."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convnet.cli.backbone_choice import advise_with_backbone
from convnet.cli.length import check_course, length_reason, with_length
from convnet.cli.options import add_reading, labels_of, standard_output
from convnet.cli.study import plan_study
from convnet.cli.study_power import power_lines
from convnet.cli.study_time import drop_slow_fine_tuning, time_lines
from convnet.data.label_tables import write_table
from convnet.data.suggestions import BY_FOLDERS, Advice, Look, dataset_name, look_at, problems
from convnet.params.checks import RESERVED, is_name
from convnet.params.data import Dataset, GroupSource, LabelSource, ReadAs, Source
from convnet.params.edit import write_dataset
from convnet.params.load import load_params
from convnet.params.schema import Params
from convnet.system.errors import UserError, printable
from convnet.system.files import file_digest

HELP = "look at own images and make them a dataset in params.yaml"
EXAMPLE = "convnet init photos/ && dvc repro"
PARAMS = Path("params.yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    parser.add_argument("source", metavar="FOLDER", type=Path, help="one folder per class, or an archive of them")
    parser.add_argument("--name", help="of the dataset; default: after the folder")
    parser.add_argument("--rendered", action="store_true", help="the images are rendered, not photographed")
    parser.add_argument("--backbone", help="default: one that suits the images and is available")
    parser.add_argument("--keep", action="store_true", help="keep the other datasets of the run")
    parser.add_argument("--group-from-name", metavar="PATTERN", help="file names hold the group: '{group}_{number}'")
    labels = add_reading(parser)
    labels.add_argument("--write-labels", metavar="TABLE", type=Path, help="write the labels, and read them from there")
    parser.add_argument("--course", action="store_true", help="train the course's number of epochs, not to a plateau")


def run(arguments: argparse.Namespace) -> None:
    """Add the dataset and print what was found and written."""
    options = {
        name: getattr(arguments, name) for name in ("name", "rendered", "backbone", "keep", "course", "write_labels")
    }
    standard_output().write(initialise(arguments.source, **options, settings=_settings(arguments)))


def initialise(
    source: Path,
    name: str | None = None,
    rendered: bool = False,
    backbone: str | None = None,
    keep: bool = False,
    settings: ReadAs = BY_FOLDERS,
    write_labels: Path | None = None,
    course: bool = False,
) -> str:
    """Look at the images, write their entry into params.yaml, and return the text to print.

    Args:
        source: the folder or the archive; an entry of the same name and folder keeps its settings.
        name: of the dataset; None: after the source.
        rendered: whether the images are rendered.
        backbone: its name; None: one that suits.
        keep: whether the run keeps its other datasets.
        settings: how labels and groups are read; a known dataset keeps the rest.
        write_labels: a new table of the labels, which the dataset then uses.
        course: whether variants train the course's number of epochs.

    Raises:
        UserError: the images cannot be a dataset, or the entry is taken or not valid. params.yaml stays as it is.
    """
    params = load_params(PARAMS)
    name = _checked_name(name or dataset_name(source))
    folder = _as_written(source, Path.cwd())
    known = _known_folder(params, name, folder)
    check_course(name, params, course)
    if known:
        _check_settings(name, params.datasets[name], rendered, backbone)
        settings = _with_known(settings, params.datasets[name].source)
    kind = params.datasets[name].kind if known else "rendered" if rendered else "photographs"
    look = look_at(source, name, kind, params, _fingerprinted(settings))
    advice = None if known else advise_with_backbone(look, kind, params, backbone)
    settings = _fingerprinted(_with_table(settings, look, write_labels))
    if advice is None:
        changes: dict[str, Any] = {}
        entry, done = _updated(params.datasets[name].source, name, look, settings)
    else:
        entry = with_length(_entry(folder, kind, look, advice, settings), params, course)
        changes, lines = plan_study(look, params, alone=not keep)
        reasons = (*advice.reasons, length_reason(entry), *lines)
        done = [f"datasets.{name} is added to {PARAMS}", *(f"  {reason}" for reason in reasons)]
    done.append(_write(name, entry, changes, params.run.datasets if keep else ()))
    if advice is not None and not keep:
        done += drop_slow_fine_tuning(PARAMS, name, look.split_counts)
    params = load_params(PARAMS)
    done += [*time_lines(params, name, look.split_counts), *power_lines(params, look.split_counts)]
    return _text([*_found(name, look), "", *done, "next: dvc repro"])


def _write(name: str, entry: Mapping[str, Any], changes: Mapping[str, Any], others: Sequence[str]) -> str:
    """Write the entry and the run into params.yaml, and return a line on the run."""
    datasets = list(dict.fromkeys([*others, name]))
    write_dataset(PARAMS, name, entry, {**changes, "datasets": datasets})
    return f"run.datasets is {', '.join(datasets)}"


def _text(lines: list[str]) -> str:
    return "\n".join(map(printable, lines)) + "\n"


def _updated(before: Source, name: str, look: Look, settings: ReadAs) -> tuple[dict[str, Any], list[str]]:
    """Return what changes in the entry of a known dataset, and the line on it."""
    source = {"fingerprint": look.fingerprint, **_changes(before, settings)}
    changed = before.fingerprint != look.fingerprint
    found = "the images have changed, its fingerprint is new" if changed else "the images are the same"
    more = "; its labels or groups are new" if len(source) > 1 else ""
    return {"source": source}, [f"datasets.{name} is known; {found}{more}; all its settings stay"]


def _found(name: str, look: Look) -> list[str]:
    counts, splits = look.counts, look.summary["counts"]
    width = max(map(len, counts))
    lines = [f"{name}: {sum(counts.values()):,} usable images in {len(counts)} classes"]
    for class_name, count in counts.items():
        parts = ", ".join(f"{splits[split][class_name]:,} {split}" for split in splits)
        lines.append(f"  {class_name:<{width}}  {count:>6,}  ({parts})")
    shown = {key: "x".join(map(str, reversed(size))) for key, size in look.summary["image_sizes"].items()}
    lines.append(f"sizes (width x height): {shown['smallest']} to {shown['largest']}, median {shown['median']}")
    if groups := look.summary["groups"]:
        lines.append(f"groups: {groups:,}, each in one split")
    found, remarks = problems(look), look.summary["remarks"]
    lines += ["problems:", *(f"  {line}" for line in found)] if found else ["no problems found"]
    lines += ["remarks:", *(f"  {line}" for line in remarks)] if remarks else []
    return lines


def _entry(folder: str, kind: str, look: Look, advice: Advice, settings: ReadAs) -> dict[str, Any]:
    # Every section has a batch size of its own, and none may exceed the training images.
    batch = {"batch_size": advice.batch_size}
    reading = settings.model_dump(mode="json", exclude_defaults=True)
    return {
        "kind": kind,
        "source": {"folder": folder, "fingerprint": look.fingerprint, **reading},
        "image_size": list(advice.image_size),
        **({"images": advice.images} if advice.images else {}),
        "backbone": advice.backbone,
        "training": batch,
        "fine_tune": dict(batch),
        "transfer": batch | advice.transfer,
    }


def _settings(arguments: argparse.Namespace) -> ReadAs:
    """Return the options on labels and groups; the path of a table as params.yaml keeps it."""
    labels = labels_of(arguments)
    if labels and labels.table:
        labels = labels.model_copy(update={"table": _as_written(Path(labels.table), Path.cwd())})
    groups = GroupSource(by_folder=arguments.group_by_folder, from_name=arguments.group_from_name)
    return ReadAs(labels=labels, groups=None if groups == GroupSource() else groups, ignore=tuple(arguments.ignore))


def _with_known(settings: ReadAs, known: ReadAs) -> ReadAs:
    return ReadAs(
        labels=settings.labels or known.labels,
        groups=settings.groups or known.groups,
        ignore=settings.ignore or known.ignore,
    )


def _with_table(settings: ReadAs, look: Look, place: Path | None) -> ReadAs:
    """Write the labels that were read to a table, and return settings that use the table."""
    if place is None:
        return settings
    write_table(place, look.manifest)
    return ReadAs(labels=LabelSource(table=_as_written(place, Path.cwd())), ignore=settings.ignore)


def _fingerprinted(settings: ReadAs) -> ReadAs:
    """Return the settings with the fingerprint of the label table as it is now."""
    labels = settings.labels
    if labels is None or labels.table is None:
        return settings
    table = Path(labels.table).expanduser()
    if not table.is_file():
        raise UserError(f"the label table {table} is missing: give its path with --labels")
    return settings.model_copy(update={"labels": labels.model_copy(update={"fingerprint": file_digest(table)})})


def _changes(before: ReadAs, after: ReadAs) -> dict[str, Any]:
    """Return the changed settings, whole, because params.yaml merges mappings."""
    names = {"labels", "groups", "ignore"}
    old, new = (settings.model_dump(mode="json", include=names) for settings in (before, after))
    return {name: value for name, value in new.items() if value != old[name]}


def _checked_name(name: str) -> str:
    if not is_name(name):
        raise UserError(
            f"{name!r} cannot name a dataset: give --name with small letters, digits and underscores, not all digits, "
            f"and none of {', '.join(sorted(RESERVED))}"
        )
    return name


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
