"""How near training comes to its limit: the same network and batch, fit on one constant batch in memory.

    python -m bench.speed.limit                 some minutes
    python -m bench.speed.limit --scale full

Four ways in turns, in one process: a constant batch and the packed arrays, each without and with augmentation. The
constant batch is a tf.data.Dataset of one element, repeated: nothing is read, shuffled or converted. The packed arrays
are trained on as the program does, several steps to a call, a new order every epoch, progress counted; `fit` takes a
call for each step, so that the share may be above 1. Then

* share of the limit = steps/s on the arrays / steps/s on the constant batch, of the same network;
* data input's share of a step = 1 - seconds(constant) / seconds(arrays);
* augmentation's share of a step = 1 - seconds(arrays) / seconds(arrays with augmentation).

The last rows are of small rendered images, of which a step takes milliseconds: what it is worth that several steps go
in one call of the backend.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.lib.material import LARGE, SMALL, bring_archive, cnn_recipe, ingest, make_job, recipe_name
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import alternate
from convnet.system.processes import usable_cores


class Scale(NamedTuple):
    """How much is measured."""

    images_per_class: int | None
    image_size: tuple[int, int]
    repeats: int
    networks: tuple[tuple[int, ...], ...]
    real: bool


class Pictures(NamedTuple):
    """Rendered ones."""

    per_class: int
    size: tuple[int, int]


SMALL_PICTURES = Pictures(300, (48, 48))
SCALES = {
    "toy": Scale(20, (48, 48), 1, (SMALL,), real=False),
    "short": Scale(300, (150, 150), 5, (SMALL, LARGE), real=True),
    "full": Scale(None, (150, 150), 7, (SMALL, LARGE), real=True),
}


def measure(arrays: Path, filters: tuple[int, ...], scale: Scale) -> list[dict[str, Any]]:
    """Return the rows of one network, plain and augmented."""
    from bench.lib.feeding import Feeder  # loads Keras, after the device was set up

    calls: dict[str, Callable[[int], float]] = {}
    for augmented in (False, True):
        feeder = Feeder(make_job(cnn_recipe(filters, scale.image_size, 1, augmented=augmented), arrays, 0))
        feeder.warm_up("limit", "as_training")
        calls |= {f"limit {augmented}": feeder.limit, f"arrays {augmented}": feeder.as_training}
    rates = alternate(calls, scale.repeats, "limit")
    rows = []
    for augmented in (False, True):
        mine, limit = rates[f"arrays {augmented}"], rates[f"limit {augmented}"]
        row = compare(
            f"{recipe_name(filters, augmented)}, training rate",
            "images/s",
            mine,
            limit,
            other_name="fit on one constant batch",
            target=0.9,
            more_is_better=True,
            data_input_share_of_step=_share(limit, mine),
        )
        if augmented:
            row["augmentation_share_of_step"] = _share(rates["arrays False"], mine)
        rows.append(row)
    return rows


def measure_calls(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Return the rows of small rendered images: several steps to a call beside single steps."""
    from bench.lib.feeding import Feeder

    bring_archive(folder / "archives", SMALL_PICTURES.per_class, SMALL_PICTURES.size, real=False)
    ingest(folder / "archives", folder / "arrays", SMALL_PICTURES.size)
    shown = "rendered {}x{}".format(*SMALL_PICTURES.size)
    rows = []
    for augmented in (False, True):
        recipe = cnn_recipe(SMALL, SMALL_PICTURES.size, 1, augmented=augmented)
        feeder = Feeder(make_job(recipe, folder / "arrays", 0))
        feeder.warm_up("as_training", "as_training", "single_steps")  # calls grow with every epoch at first
        rates = alternate({"ours": feeder.as_training, "single": feeder.single_steps}, repeats, "calls")
        rows.append(
            compare(
                f"{recipe_name(SMALL, augmented)}, {shown}, several steps to a call",
                "images/s",
                rates["ours"],
                rates["single"],
                other_name="a call for each step",
                more_is_better=True,
            )
        )
    return rows


def _share(rate_without: list[float], rate_with: list[float]) -> float:
    """Return which share of a step something takes, the median over repeats."""
    return round(median(1 - b / a for a, b in zip(rate_without, rate_with, strict=True)), 3)


def main() -> None:
    """Bring the images, fit in turns, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "1 minute", "short": "3 minutes", "full": "12 minutes"})
    scale = SCALES[arguments.scale]
    from convnet.backend.device import configure_device

    device = configure_device(threads=usable_cores(), precision="auto")
    with tempfile.TemporaryDirectory(prefix="limit-") as name:
        folder = Path(name)
        drawn = 2 * (scale.images_per_class or 1000)
        pictures = bring_archive(folder / "archives", drawn, scale.image_size, real=scale.real)
        ingest(folder / "archives", folder / "arrays", scale.image_size, scale.images_per_class)
        rows = [row for filters in scale.networks for row in measure(folder / "arrays", filters, scale)]
        rows += measure_calls(folder / "small", scale.repeats)
    write_result(arguments, rows, pictures=pictures, precision=device.precision, threads=device.threads)


if __name__ == "__main__":
    main()
