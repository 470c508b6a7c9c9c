"""How cost grows: images, image size, seeds and variants, each doubled.

    python -m bench.speed.growth                 some minutes
    python -m bench.speed.growth --scale full

The stages download, split, prepare and train run as they are, in processes of their own, on rendered images,
TensorFlow's start included: once as a base, then with one of the four doubled, in turns. A ratio below 2 says what is
paid once.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.material import PROJECT, change_params
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import alternate, watch
from convnet.system.files import read_json


class Size(NamedTuple):
    """One study."""

    images_per_class: int
    side: int  # pixels
    seeds: int
    variants: int


class Scale(NamedTuple):
    """How much is measured."""

    base: Size
    epochs: int
    repeats: int


SCALES = {
    "toy": Scale(Size(40, 48, 1, 1), 1, 1),
    "short": Scale(Size(200, 64, 1, 1), 4, 1),
    "full": Scale(Size(500, 64, 2, 2), 10, 3),
}
VARIANTS = ("baseline", "dropout", "augmented", "augmented_dropout")


class Cost(NamedTuple):
    """What one study cost, in seconds."""

    ingest: float
    train: float  # the train stages, start-up included
    epochs: float  # of that, the epochs themselves


def study(size: Size, epochs: int) -> Cost:
    """Run the stages of one study in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="growth-") as temporary:
        folder = Path(temporary)
        (folder / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
        variants = VARIANTS[: size.variants]
        change_params(
            folder,
            {
                "run.datasets": ["pets"],
                "run.pixel_variants": list(variants),
                "run.feature_variants": [],
                "run.fine_tune_variants": [],
                "run.seeds": list(range(size.seeds)),
                "datasets.pets.source.rendered.images_per_class": size.images_per_class,
                "datasets.pets.source.rendered.image_size": [size.side, size.side],
                "datasets.pets.image_size": [size.side, size.side],
                "datasets.pets.split": {},  # the common shares: most of its own images are test images
                "sweep.enabled": False,
                "training.epochs": epochs,
            },
        )
        named = ("--dataset", "pets")
        _stage(folder, "download", *named, "archives")
        ingest = _stage(folder, "split", *named, "archives", "rows.csv", "summary.json")
        ingest += _stage(folder, "prepare", *named, "archives", "rows.csv", "arrays")
        train = _stage(folder, "train", "arrays", "features", "backbone", "models")
        timings = [read_json(folder / "models" / variant / "timing.json") for variant in variants]
    return Cost(ingest, train, sum(seed["seconds_training"] for timing in timings for seed in timing.values()))


def _stage(folder: Path, stage: str, *arguments: str) -> float:
    command: list[str | Path] = [sys.executable, PROJECT / "stages" / f"{stage}.py", *arguments]
    return watch(command, folder, {"PYTHONPATH": str(PROJECT / "src")}).seconds


def doubled(base: Size) -> dict[str, Size]:
    """Return the base and each way to double it; twice the image size is twice the pixels of a side."""
    return {
        "base": base,
        **{
            name.replace("_", " "): base._replace(**{name: 2 * value}) for name, value in base._asdict().items()
        },
    }  # fmt: skip


def main() -> None:
    """Run every study in turns and write the result."""
    arguments = parse_arguments(__doc__, {"toy": "2 minutes", "short": "4 minutes", "full": "25 minutes"})
    scale = SCALES[arguments.scale]
    sizes = doubled(scale.base)
    sides: dict[str, Any] = {name: lambda repeat, size=size: study(size, scale.epochs) for name, size in sizes.items()}
    found = alternate(sides, scale.repeats, "studies")
    base = found.pop("base")
    rows = [
        compare(
            f"twice the {name}",
            "s",
            [cost.ingest + cost.train for cost in base],
            [cost.ingest + cost.train for cost in costs],
            other_name=f"{name} {getattr(sizes[name], name.replace(' ', '_'))}",
            ratio_of_ingest=[round(b.ingest / a.ingest, 2) for a, b in zip(base, costs, strict=True)],
            ratio_of_epochs=[round(b.epochs / a.epochs, 2) for a, b in zip(base, costs, strict=True)],
            seconds_of_base={name: round(value, 2) for name, value in base[0]._asdict().items()},
        )
        for name, costs in found.items()
    ]
    write_result(arguments, rows, base=scale.base._asdict() | {"epochs": scale.epochs})


if __name__ == "__main__":
    main()
