"""Keras' recommended way of today beside this program: one seed and five, plain, augmented, transfer and fine-tuned.

    python -m bench.speed.peer_modern                         some minutes
    python -m bench.speed.peer_modern --scale full            1,000 + 250 photographs, if CONVNET_DATA is set
    python -m bench.speed.peer_modern --case plain            one of four, as a result of its own

Keras' way (bench/lib/keras_way.py): image_dataset_from_directory, cache, shuffle, prefetch, augmentation layers in the
model, fit; for transfer the frozen backbone inside the model. Both sides have the same network, batch of 20, epochs,
seeds and images, and take turns in processes of their own. Imports are not timed. Seconds hold building, training,
validation and the saved model; ours hold also checkpoints and the predictions of all splits.

One seed: ours has all cores, as Keras' way has. Five seeds: ours trains two at once on one thread each, as the
program does; Keras' way one after the other. Ours computes the features of transfer once. Keras' transfer runs 2
epochs, and each further epoch counts as the second, so accuracies are compared for the small CNN alone. Reading the
images is in Keras' first epoch. Our ingest is beside. An epoch is the mean of all, with validation, without building
and saving; where two jobs train at once, half of the time of an epoch counts.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from bench.lib.keras_way import LAST_LAYER, TRAINABLE_FROM, Guide, train_keras
from bench.lib.material import (
    SMALL,
    Trained,
    bring_archive,
    cnn_recipe,
    head_recipe,
    ingest,
    make_job,
    trained_job,
    unpack,
)  # fmt: skip
from bench.lib.numbers import announce, compare, compare_accuracy, make_parser, write_result
from bench.lib.sides import Side, alternate
from bench.speed.gpu import fine_tune_jobs
from bench.speed.peer_transfer import find_weights
from convnet.engine.local import LARGE_PAGES
from convnet.jobs.job import Job, UsedBackbone
from convnet.params.backbone import Backbone, Weights
from convnet.system.files import read_json
from convnet.system.processes import usable_cores

# Aimed at: one seed, five seeds. Fine-tuning computes the same on both sides.
TARGETS = {"plain": (1.8, 2.5), "augmented": (1.8, 3.0), "transfer": (5.0, 5.0), "fine_tune": (None, None)}
TUNED_EPOCHS = 3  # of `fine_tune_jobs`


class Scale(NamedTuple):
    """How much is measured."""

    images_per_class: int  # for training; a quarter of that for validation
    image_size: tuple[int, int]
    epochs: int  # of the small CNN
    head_epochs: int
    seeds: int
    repeats: int
    cases: tuple[str, ...]
    real: bool


SCALES = {
    "toy": Scale(12, (48, 48), 1, 1, 2, 1, ("plain", "augmented"), real=False),
    "short": Scale(100, (150, 150), 3, 20, 5, 2, tuple(TARGETS), real=True),
    "full": Scale(500, (150, 150), 4, 20, 5, 2, tuple(TARGETS), real=True),
}


class Task(NamedTuple):
    """What both sides train."""

    case: str
    scale: Scale
    folder: Path  # with arrays and files
    weights: Path | None


def start_all_cores() -> None:
    """Set up a process of ours with all cores."""
    _start_ours(usable_cores())


def start_one_thread() -> None:
    """Set up a process of ours as the program does for one of several jobs."""
    _start_ours(1)


def _start_ours(threads: int) -> None:
    from convnet.backend.device import configure_device

    configure_device(threads=threads, precision="auto")
    import convnet.features.extraction
    import convnet.training.train  # noqa: F401


def start_keras() -> None:
    """Load Keras, nothing set up."""
    from convnet.backend.device import quiet

    quiet()
    import keras  # noqa: F401


def train_ours(task: Task, seed: int, threads: int, work: Path) -> Trained:
    """Train one job as the program does; `work` holds its features, and the trained head that fine-tuning needs."""
    from convnet.training.train import train_job

    os.chdir(work)
    job = job_of(task, seed, threads, work)
    if task.case == "fine_tune":
        (job,) = fine_tune_jobs([job])
    start = time.perf_counter()
    train_job(job)
    return trained_job(job, time.perf_counter() - start)


def job_of(task: Task, seed: int, threads: int, work: Path) -> Job:
    """Return the job of a small CNN, or of the head on cached features."""
    arrays, size = task.folder / "arrays", task.scale.image_size
    if task.case in ("plain", "augmented"):
        recipe = cnn_recipe(SMALL, size, task.scale.epochs, augmented=task.case == "augmented")
        return make_job(recipe, arrays, seed, threads=threads)
    used = _used_backbone(task)
    head = head_recipe(size, task.scale.head_epochs, "average", 0.0, used)
    return make_job(head, arrays, seed, threads=threads, features=work / "features", backbone=used)


def _used_backbone(task: Task) -> UsedBackbone:
    assert task.weights is not None
    settings = Backbone(
        architecture="InceptionV3", weights=Weights(url=task.weights.name), seen="", input_range=(-1.0, 1.0),
        smallest_image=75, last_layer=LAST_LAYER, trainable_from=TRAINABLE_FROM, explain_layers=(),
    )  # fmt: skip
    return UsedBackbone("inception_v3", settings, task.weights, LAST_LAYER)


def make_features(task: Task, work: Path) -> float:
    """Compute the features of all images and return the seconds."""
    from convnet.features.extraction import extract_features

    start = time.perf_counter()
    extract_features(task.folder / "arrays", task.scale.image_size, _used_backbone(task), work / "features")
    return time.perf_counter() - start


class Sides(NamedTuple):
    """Our processes, all started before anything is timed."""

    whole: Side  # ours with all cores
    halves: tuple[Side, Side]  # ours with one thread each


@contextmanager
def our_sides() -> Iterator[Sides]:
    """Start them, and end them after the block."""
    pages = dict([LARGE_PAGES])
    with (
        Side(start_all_cores, pages) as whole,
        Side(start_one_thread, pages) as left,
        Side(start_one_thread, pages) as right,
    ):
        yield Sides(whole, (left, right))


def ours_one(task: Task, sides: Sides, repeat: int) -> Trained:
    """Train one seed with all cores."""
    work = _work(task, f"one-{repeat}")
    before = _prepare(task, sides, work, [repeat], usable_cores())
    trained = sides.whole(train_ours, task, repeat, usable_cores(), work)
    return trained._replace(seconds=before + trained.seconds)


def ours_all(task: Task, sides: Sides, repeat: int) -> list[Trained]:
    """Train all seeds, two at once; each of the results has the seconds of the whole, divided by the seeds."""
    work, seeds = _work(task, f"all-{repeat}"), range(task.scale.seeds)
    before = _prepare(task, sides, work, seeds, 1)
    free: SimpleQueue[Side] = SimpleQueue()
    for side in sides.halves:
        free.put(side)

    def train(seed: int) -> Trained:
        side = free.get()
        try:
            return side(train_ours, task, seed, 1, work)
        finally:
            free.put(side)

    start = time.perf_counter()
    with ThreadPoolExecutor(len(sides.halves)) as pool:
        trained = list(pool.map(train, seeds))
    whole = before + time.perf_counter() - start
    return [one._replace(seconds=whole / len(trained)) for one in trained]


def _prepare(task: Task, sides: Sides, work: Path, seeds: Sequence[int], threads: int) -> float:
    """Make what the jobs read, and return the seconds of it that count: features count for transfer only."""
    if task.case in ("plain", "augmented"):
        return 0.0
    seconds = sides.whole(make_features, task, work)
    if task.case == "transfer":
        return seconds
    for seed in seeds:
        sides.whole(train_ours, task._replace(case="transfer"), seed, threads, work)
    return 0.0


def _work(task: Task, name: str) -> Path:
    work = task.folder / f"{task.case}-{name}"
    work.mkdir()
    return work


def train_with(peer: Side, task: Task, epochs: int, seed: int) -> Trained:
    """Train one seed in Keras' way."""
    guide = Guide(task.case, task.folder / "files", task.scale.image_size, epochs, task.weights)
    return peer(train_keras, guide, seed)


def measure(
    task: Task, sides: Sides, other_name: str, train_other: Callable[[Task, int, int], Trained]
) -> list[dict[str, Any]]:
    """Return the rows of a case: the whole of one seed and of all seeds, then an epoch of each.

    Args:
        task: what both sides train.
        sides: ours.
        other_name: what the other side is.
        train_other: the other side: task, epochs and seed.
    """
    scale = task.scale
    epochs = {"transfer": scale.head_epochs, "fine_tune": TUNED_EPOCHS}.get(task.case, scale.epochs)
    calls: dict[str, Callable[[int], list[Trained]]] = {
        "one": lambda repeat: [ours_one(task, sides, repeat)],
        "all": lambda repeat: ours_all(task, sides, repeat),
        "other": lambda repeat: [train_other(task, epochs, seed) for seed in range(scale.seeds)],
    }
    found = alternate(calls, task.scale.repeats, task.case)
    other = [sum(one.seconds for one in repeat) for repeat in found["other"]]
    accuracy = None
    if task.case in ("plain", "augmented"):  # where both sides train all epochs; repeats train the same seeds again
        accuracy = compare_accuracy(*([one.accuracy for one in found[side][0]] for side in ("all", "other")))
    seeds = scale.seeds
    rows = [
        compare(
            f"{task.case}, 1 seed, {usable_cores()} threads", "s",
            [repeat[0].seconds for repeat in found["one"]], [seconds / seeds for seconds in other],
            other_name=f"{other_name}, mean of its seeds", target=TARGETS[task.case][0], epochs=epochs,
        ),
        compare(
            f"{task.case}, {seeds} seeds, two at once", "s",
            [sum(one.seconds for one in repeat) for repeat in found["all"]], other,
            other_name=other_name, target=TARGETS[task.case][1], accuracy=accuracy, epochs=epochs,
        ),
    ]  # fmt: skip
    if task.case == "transfer":  # an epoch of a head on cached features has no counterpart
        return rows
    epoch = [sum(one.in_epochs for one in repeat) / seeds / epochs for repeat in found["other"]]
    at_once = len(sides.halves)
    of_side = {"1 seed": ("one", epochs), f"{seeds} seeds, two at once": ("all", seeds * epochs * at_once)}
    for title, (side, divisor) in of_side.items():
        mine = [sum(one.in_epochs for one in repeat) / divisor for repeat in found[side]]
        name = f"{task.case}, an epoch of {title}"
        rows.append(compare(name, "s", mine, epoch, other_name=f"{other_name}, mean of all epochs"))
    return rows


def bring_images(folder: Path, scale: Scale) -> dict[str, Any]:
    """Write the images into `folder`, as arrays and as files, and return what the result file has about them."""
    pictures = bring_archive(folder / "archives", 4 * scale.images_per_class, scale.image_size, real=scale.real)
    start = time.perf_counter()
    rows = ingest(folder / "archives", folder / "arrays", scale.image_size, scale.images_per_class)
    seconds = round(time.perf_counter() - start, 2)
    unpack(rows, folder / "archives", folder / "files")
    counts = read_json(folder / "arrays" / "dataset.json")["counts"]
    return {"pictures": pictures, "images": counts, "ingest_seconds": seconds}


def main() -> None:
    """Bring images and weights, train in turns, write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--case", choices=TARGETS, help="measure this one only")
    arguments = parser.parse_args()
    announce(arguments.scale, {"toy": "1 minute", "short": "10 minutes", "full": "40 minutes"})
    scale = SCALES[arguments.scale]
    with tempfile.TemporaryDirectory(prefix="peer-modern-") as temporary:
        folder = Path(temporary)
        facts = bring_images(folder, scale)
        with our_sides() as sides, Side(start_keras) as peer:
            weights, known = find_weights("InceptionV3", folder, peer)
            cases = [arguments.case] if arguments.case else scale.cases
            tasks = [Task(case, scale, folder, weights) for case in cases]
            train = partial(train_with, peer)
            found = [row for task in tasks for row in measure(task, sides, "Keras' way", train)]
    name = f"peer_modern_{arguments.case}" if arguments.case else None
    write_result(arguments, found, name=name, weights=known, **facts)


if __name__ == "__main__":
    main()
