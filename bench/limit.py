"""How near training comes to its limit: the same network and batch, fit on one constant batch in memory.

    python bench/limit.py                 some minutes
    python bench/limit.py --scale full

Four ways in turns, in one process: a constant batch and the packed arrays, each without and with augmentation. The
constant batch is a tf.data.Dataset of one element, repeated: nothing is read, shuffled or converted. The packed arrays
are read as in training, a new order every epoch, progress counted. Then

* share of the limit = steps/s on the arrays / steps/s on the constant batch, of the same network;
* data input's share of a step = 1 - seconds(constant) / seconds(arrays);
* augmentation's share of a step = 1 - seconds(arrays) / seconds(arrays with augmentation).
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from measuring.material import LARGE, SMALL, bring_archive, cnn_recipe, ingest, make_job, recipe_name
from measuring.numbers import compare, parse_arguments, write_result
from measuring.sides import alternate

from convnet.jobs import Job
from convnet.workers import usable_cores

WARM_UP_STEPS = 3


class Scale(NamedTuple):
    """How much is measured."""

    images_per_class: int | None
    image_size: tuple[int, int]
    repeats: int
    networks: tuple[tuple[int, ...], ...]
    real: bool


SCALES = {
    "toy": Scale(20, (48, 48), 1, (SMALL,), real=False),
    "short": Scale(300, (150, 150), 5, (SMALL, LARGE), real=True),
    "full": Scale(None, (150, 150), 7, (SMALL, LARGE), real=True),
}


class Trainee:
    """One network, built and compiled as a job of the program, and two ways to feed it."""

    def __init__(self, job: Job) -> None:
        """Build it and run each way once, so that nothing is compiled while the clock runs."""
        import keras

        from convnet.heads import choose_head, encode_labels
        from convnet.models import compile_model
        from convnet.training import build_networks, load_job_data

        keras.utils.set_random_seed(job.seed)
        head = choose_head(len(job.classes), job.recipe.fit.labels)
        self.batch_size = job.recipe.fit.batch_size
        self.data = load_job_data(job)
        self.targets = encode_labels(self.data.labels["train"], head)
        self.steps = len(self.targets) // self.batch_size  # whole batches only: equal steps on both sides
        self.model = build_networks(job, head).trainee
        compile_model(self.model, job.recipe.fit, head)
        self.model.optimizer.build(self.model.trainable_variables)
        every = self.steps
        self.steps = WARM_UP_STEPS
        self.on_constant_batch(0)
        self.on_arrays(0)
        self.steps = every

    def on_constant_batch(self, repeat: int) -> float:
        """Return seconds per step on one batch in memory."""
        import numpy as np
        import tensorflow as tf

        chosen = np.arange(self.batch_size)
        batch = (self.data.training[chosen], self.targets[chosen])
        return self._fit(tf.data.Dataset.from_tensors(batch).repeat(self.steps))

    def on_arrays(self, repeat: int) -> float:
        """Return seconds per step as training reads its data."""
        from convnet.augmentation import reset_seed_generators
        from convnet.data import Batches, epoch_order

        reset_seed_generators(self.model, 0, repeat)
        order = epoch_order(len(self.targets), 0, repeat)[: self.steps * self.batch_size]
        return self._fit(Batches(self.data.training, order, self.batch_size, self.targets))

    def _fit(self, batches: Any) -> float:
        import keras

        from convnet.progress import progress

        ticks = progress(range(self.steps), total=self.steps, label="limit", unit="steps")
        tick = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: next(ticks, None))
        start = time.perf_counter()
        self.model.fit(batches, shuffle=False, verbose=0, callbacks=[tick])
        return (time.perf_counter() - start) / self.steps


def measure(arrays: Path, filters: tuple[int, ...], scale: Scale) -> list[dict[str, Any]]:
    """Return the rows of one network, plain and augmented."""
    trainees = {
        augmented: Trainee(make_job(cnn_recipe(filters, scale.image_size, 1, augmented=augmented), arrays, 0))
        for augmented in (False, True)
    }
    ways = {
        (augmented, way): getattr(trainee, way)
        for augmented, trainee in trainees.items()
        for way in ("on_constant_batch", "on_arrays")
    }
    found = alternate({f"{augmented} {way}": call for (augmented, way), call in ways.items()}, scale.repeats, "limit")
    seconds = {key: found[f"{key[0]} {key[1]}"] for key in ways}
    rows = []
    for augmented in (False, True):
        limit, arrays_ = seconds[augmented, "on_constant_batch"], seconds[augmented, "on_arrays"]
        plain = seconds[False, "on_arrays"]
        batch = trainees[augmented].batch_size
        row = compare(
            f"{recipe_name(filters, augmented)}, training rate",
            "images/s",
            [batch / value for value in arrays_],
            [batch / value for value in limit],
            other_name="fit on one constant batch",
            target=0.9,
            more_is_better=True,
            data_input_share_of_step=_share(limit, arrays_),
        )
        if augmented:
            row["augmentation_share_of_step"] = _share(plain, arrays_)
        rows.append(row)
    return rows


def _share(without: list[float], with_it: list[float]) -> float:
    """Return which share of a step something takes, the median over repeats."""
    return round(median(1 - a / b for a, b in zip(without, with_it, strict=True)), 3)


def main() -> None:
    """Bring the pictures, fit in turns, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "1 minute", "short": "3 minutes", "full": "12 minutes"})
    scale = SCALES[arguments.scale]
    from convnet.device import configure_device

    device = configure_device(threads=usable_cores(), precision="auto")
    with tempfile.TemporaryDirectory(prefix="limit-") as name:
        folder = Path(name)
        drawn = 2 * (scale.images_per_class or 1000)
        pictures = bring_archive(folder / "archives", drawn, scale.image_size, real=scale.real)
        ingest(folder / "archives", folder / "arrays", scale.image_size, scale.images_per_class)
        rows = [row for filters in scale.networks for row in measure(folder / "arrays", filters, scale)]
    write_result(arguments, rows, pictures=pictures, precision=device.precision, threads=device.threads)


if __name__ == "__main__":
    main()
