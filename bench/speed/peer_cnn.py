"""The course's CNN trained the course's way, and trained by this program: seconds per epoch, and accuracy beside them.

    python -m bench.speed.peer_cnn                 some minutes
    python -m bench.speed.peer_cnn --scale full    2000 + 980 photographs if CONVNET_DATA names their folder, 3 seeds
    python -m bench.speed.peer_cnn --scale full --network baseline-16-32-64    one of four, as a result of its own

The course's way is written out below: files in class folders, ImageDataGenerator.flow_from_directory, fit. Both sides
have the same network, batch of 20, epochs, seeds, and training and validation images; each side resizes as it does,
the course's to the nearest pixel. Each runs in a process of its own with its own defaults, in turns. Seconds per epoch
hold training and validation, building the functions in the first epoch included; on our side also the checkpoints.
What the course's way does not have is told beside: our ingest, paid once for all variants and seeds.
"""

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.material import (
    AUGMENTATION,
    BATCH_SIZE,
    LARGE,
    LEARNING_RATES,
    SMALL,
    Trained,
    bring_archive,
    cnn_recipe,
    ingest,
    make_job,
    recipe_name,
    trained_job,
    unpack,
)
from bench.lib.numbers import announce, compare, compare_accuracy, make_parser, write_result
from bench.lib.sides import Side, alternate
from convnet.system.files import read_json
from convnet.system.processes import usable_cores

TARGETS = {False: 2.5, True: 2.2}  # plain, augmented


class Scale(NamedTuple):
    """How much is measured."""

    images_per_class: int | None  # training images of each class at most
    image_size: tuple[int, int]
    epochs: int
    repeats: int
    networks: tuple[tuple[int, ...], ...]
    augmented: tuple[bool, ...]
    real: bool


SCALES = {
    "toy": Scale(20, (48, 48), 1, 1, (SMALL,), (True,), real=False),
    "short": Scale(200, (150, 150), 2, 2, (SMALL, LARGE), (False, True), real=True),
    "full": Scale(None, (150, 150), 5, 3, (SMALL, LARGE), (False, True), real=True),
}


class Case(NamedTuple):
    """What both sides train."""

    filters: tuple[int, ...]
    augmented: bool
    image_size: tuple[int, int]
    epochs: int


def start_ours() -> None:
    """Set up the process of our side as a stage does."""
    from convnet.backend.device import configure_device

    configure_device(threads=usable_cores(), precision="auto")
    import convnet.training.train  # noqa: F401


def start_course() -> None:
    """Load the libraries of the course, nothing set up."""
    from convnet.backend.device import quiet

    quiet()
    import tensorflow  # noqa: F401


def train_ours(case: Case, folder: Path, seed: int) -> Trained:
    """Train as the train stage does: model, history and predictions of all splits are kept."""
    from convnet.training.train import train_job

    os.chdir(folder)
    recipe = cnn_recipe(case.filters, case.image_size, case.epochs, augmented=case.augmented)
    job = make_job(recipe, folder / "arrays", seed)
    start = time.perf_counter()
    train_job(job)
    return trained_job(job, time.perf_counter() - start)


def train_course(case: Case, folder: Path, seed: int) -> Trained:
    """Train as the course's notebooks do; only the model is kept."""
    import tensorflow as tf

    start = time.perf_counter()
    tf.keras.utils.set_random_seed(seed)
    layers = [tf.keras.layers.Input((*case.image_size, 3))]
    for filters in case.filters:
        layers += [tf.keras.layers.Conv2D(filters, (3, 3), activation="relu"), tf.keras.layers.MaxPooling2D(2, 2)]
    layers += [
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(512, activation="relu"),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
    model = tf.keras.models.Sequential(layers)
    model.compile(
        loss="binary_crossentropy",
        optimizer=tf.keras.optimizers.RMSprop(learning_rate=LEARNING_RATES[case.filters]),
        metrics=["accuracy"],
    )
    generator = tf.keras.preprocessing.image.ImageDataGenerator
    moves: dict[str, Any] = {
        "rotation_range": AUGMENTATION.rotation,
        "width_shift_range": AUGMENTATION.width_shift,
        "height_shift_range": AUGMENTATION.height_shift,
        "shear_range": AUGMENTATION.shear,
        "zoom_range": AUGMENTATION.zoom,
        "horizontal_flip": AUGMENTATION.horizontal_flip,
        "fill_mode": AUGMENTATION.fill,
    }
    flow = partial(_flow, image_size=case.image_size, folder=folder, seed=seed)
    training = flow(generator(rescale=1.0 / 255, **(moves if case.augmented else {})), split="train")
    validation = flow(generator(rescale=1.0 / 255), split="validation")
    began = time.perf_counter()
    history = model.fit(training, epochs=case.epochs, validation_data=validation, verbose=0)
    in_epochs = time.perf_counter() - began
    model.save(folder / "course.keras")
    return Trained(time.perf_counter() - start, float(history.history["val_accuracy"][-1]), in_epochs)


def _flow(generator: Any, split: str, image_size: tuple[int, int], folder: Path, seed: int) -> Any:
    return generator.flow_from_directory(
        folder / "files" / split, target_size=image_size, batch_size=BATCH_SIZE, class_mode="binary", seed=seed
    )


def measure(case: Case, folder: Path, ours: Side, course: Side, repeats: int, ingest_seconds: float) -> dict[str, Any]:
    """Return the row of one network, plain or augmented."""
    name = recipe_name(case.filters, case.augmented)
    sides = {
        "ours": lambda seed: ours(train_ours, case, folder, seed),
        "course": lambda seed: course(train_course, case, folder, seed),
    }
    found = alternate(sides, repeats, name)
    mine, other = found["ours"], found["course"]
    with_ingest = [(o.seconds) / (m.seconds + ingest_seconds) for m, o in zip(mine, other, strict=True)]
    return compare(
        f"{name}, one epoch",
        "s",
        [trained.in_epochs / case.epochs for trained in mine],
        [trained.in_epochs / case.epochs for trained in other],
        other_name="the course's way",
        target=TARGETS[case.augmented],
        epochs=case.epochs,
        accuracy=compare_accuracy([t.accuracy for t in mine], [t.accuracy for t in other]),
        seconds_whole={"ours": [round(t.seconds, 2) for t in mine],
                       "other": [round(t.seconds, 2) for t in other]},
        # As if the ingest were made for this one training only.
        ratio_of_whole_with_ingest=[round(ratio, 2) for ratio in with_ingest],
    )  # fmt: skip


def _option(filters: tuple[int, ...], augmented: bool) -> str:
    return recipe_name(filters, augmented).replace(" ", "-")


def main() -> None:
    """Bring the images, train in turns, write the result."""
    parser = make_parser(__doc__)
    choices = [_option(filters, augmented) for filters in (SMALL, LARGE) for augmented in (False, True)]
    parser.add_argument("--network", choices=choices, help="measure this one only")
    arguments = parser.parse_args()
    announce(arguments.scale, {"toy": "1 minute", "short": "7 minutes", "full": "100 minutes"})
    scale, only = SCALES[arguments.scale], arguments.network
    with tempfile.TemporaryDirectory(prefix="peer-cnn-") as name:
        folder = Path(name)
        drawn = 2 * (scale.images_per_class or 1000)
        pictures = bring_archive(folder / "archives", drawn, scale.image_size, real=scale.real)
        start = time.perf_counter()
        rows = ingest(folder / "archives", folder / "arrays", scale.image_size, scale.images_per_class)
        ingest_seconds = time.perf_counter() - start
        unpack(rows, folder / "archives", folder / "files")
        cases = [
            Case(filters, augmented, scale.image_size, scale.epochs)
            for filters in scale.networks
            for augmented in scale.augmented
            if only in (None, _option(filters, augmented))
        ]
        with Side(start_ours) as ours, Side(start_course) as course:
            found = [measure(case, folder, ours, course, scale.repeats, ingest_seconds) for case in cases]
        counts = read_json(folder / "arrays" / "dataset.json")["counts"]
    print(f"ingest, paid once for all variants and seeds: {ingest_seconds:.1f} s")
    write_result(
        arguments,
        found,
        name=f"peer_cnn_{only}" if only else None,
        pictures=pictures,
        images=counts,
        ingest_seconds=round(ingest_seconds, 2),
    )


if __name__ == "__main__":
    main()
