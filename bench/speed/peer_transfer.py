"""Transfer learning, with and without dropout: the features computed once, beside the course's way.

    python -m bench.speed.peer_transfer                 some minutes
    python -m bench.speed.peer_transfer --scale full    all photographs, if CONVNET_DATA names their folder
    python -m bench.speed.peer_transfer --scale full --pooling average    one pooling only, as a result of its own

Ours, end to end: the features of every image once, then two heads (dropout 0 and 0.2) of 20 epochs, one seed, each
with its predictions and its saved model. The course's way: InceptionV3 cut at mixed7, frozen, inside fit, fed by
flow_from_directory without augmentation, for each of the two networks. Only 2 of its 20 epochs are run; the other 18
are counted as long as the second. The course flattens the feature maps; average pooling is measured with the same
head on both sides. InceptionV3's weights are looked for in `weights` beside the folder that CONVNET_DATA names;
without them they are random, which costs the same time and makes the accuracies meaningless. The toy scale takes a
small MobileNetV2 instead.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.material import (
    BATCH_SIZE,
    bring_archive,
    head_recipe,
    ingest,
    make_job,
    unpack,
)
from bench.lib.numbers import announce, compare, make_parser, write_result
from bench.lib.sides import Side, alternate
from convnet.data.sources import data_folder
from convnet.jobs.job import UsedBackbone
from convnet.params.backbone import Backbone, Weights
from convnet.system.files import read_json
from convnet.system.processes import usable_cores

INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
DROPOUTS = (0.0, 0.2)
TARGETS = {"flatten": 8.0, "average": 20.0}
COURSE_EPOCHS = 2  # measured; the rest is scaled


class Scale(NamedTuple):
    """How much is measured."""

    images_per_class: int | None
    image_size: tuple[int, int]
    epochs: int
    repeats: int
    architecture: str
    last_layer: str
    poolings: tuple[str, ...]
    real: bool


SCALES = {
    "toy": Scale(12, (32, 32), 2, 1, "MobileNetV2", "block_3_expand_relu", ("average",), real=False),
    "short": Scale(100, (150, 150), 20, 3, "InceptionV3", "mixed7", ("flatten", "average"), real=True),
    "full": Scale(None, (150, 150), 20, 2, "InceptionV3", "mixed7", ("flatten", "average"), real=True),
}


class Case(NamedTuple):
    """What both sides train."""

    image_size: tuple[int, int]
    epochs: int
    pooling: str
    architecture: str
    last_layer: str
    weights: Path


class Trained(NamedTuple):
    """What both networks cost together, and reached."""

    seconds: float
    seconds_features: float  # of that
    accuracies: dict[str, float]  # validation, by dropout


def start_ours() -> None:
    """Set up the process of our side as a stage does."""
    from convnet.backend.device import configure_device

    # Features are computed in float32, as in the features stage; on a processor with bfloat16 the heads of the
    # pipeline train faster than here.
    configure_device(threads=usable_cores(), precision="float32")
    import convnet.features.extraction
    import convnet.training.train  # noqa: F401


def start_course() -> None:
    """Load the libraries of the course, nothing set up."""
    from convnet.backend.device import quiet

    quiet()
    import tensorflow  # noqa: F401


def make_weights(architecture: str, path: Path) -> None:
    """Write a file of random weights."""
    import keras

    _backbone_of(keras, architecture, (96, 96)).save_weights(path)


def _backbone_of(keras: Any, architecture: str, image_size: tuple[int, int]) -> Any:
    more = {"alpha": 0.35} if architecture == "MobileNetV2" else {}
    build = getattr(keras.applications, architecture)
    return build(include_top=False, weights=None, input_shape=(*image_size, 3), **more)


def train_ours(case: Case, folder: Path, repeat: int) -> Trained:
    """Compute the features, then train both heads."""
    from convnet.features.extraction import extract_features
    from convnet.training.train import train_job

    work = folder / f"ours-{case.pooling}-{repeat}"
    work.mkdir()
    os.chdir(work)
    settings = Backbone(
        architecture=case.architecture,
        alpha=0.35 if case.architecture == "MobileNetV2" else None,
        weights=Weights(url=case.weights.name),
        seen="",
        input_range=(-1.0, 1.0),
        smallest_image=32,
        last_layer=case.last_layer,
        trainable_from=case.last_layer,
        explain_layers=(),
    )
    used = UsedBackbone(case.architecture, settings, case.weights, case.last_layer)
    start = time.perf_counter()
    frozen = UsedBackbone(used.name, settings, case.weights, case.last_layer)
    extract_features(folder / "arrays", case.image_size, frozen, work / "features")
    seconds_features = time.perf_counter() - start
    accuracies = {}
    for dropout in DROPOUTS:
        recipe = head_recipe(case.image_size, case.epochs, case.pooling, dropout, used)
        job = make_job(recipe, folder / "arrays", repeat, features=work / "features", backbone=used)
        train_job(job)
        accuracies[str(dropout)] = read_json(job.result / "history.json")[-1]["validation_accuracy"]
    return Trained(time.perf_counter() - start, seconds_features, accuracies)


def train_course(case: Case, folder: Path, repeat: int) -> Trained:
    """Train both networks for 2 epochs as the course's notebook does, and scale to all epochs."""
    import tensorflow as tf

    keras, total, accuracies = tf.keras, 0.0, {}
    for dropout in DROPOUTS:
        start = time.perf_counter()
        keras.backend.clear_session()
        keras.utils.set_random_seed(repeat)
        pretrained = _backbone_of(keras, case.architecture, case.image_size)
        pretrained.load_weights(case.weights)
        for layer in pretrained.layers:
            layer.trainable = False
        x = pretrained.get_layer(case.last_layer).output
        x = keras.layers.Flatten()(x) if case.pooling == "flatten" else keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dense(1024, activation="relu")(x)
        if dropout:
            x = keras.layers.Dropout(dropout)(x)
        model = keras.Model(pretrained.input, keras.layers.Dense(1, activation="sigmoid")(x))
        model.compile(
            optimizer=keras.optimizers.RMSprop(learning_rate=0.0001), loss="binary_crossentropy", metrics=["accuracy"]
        )
        flows = {
            split: keras.preprocessing.image.ImageDataGenerator(rescale=1.0 / 255).flow_from_directory(
                folder / "files" / split, target_size=case.image_size, batch_size=BATCH_SIZE, class_mode="binary"
            )
            for split in ("train", "validation")
        }
        ends: list[float] = []
        clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))  # noqa: B023
        history = model.fit(
            flows["train"], epochs=COURSE_EPOCHS, validation_data=flows["validation"], verbose=0, callbacks=[clock]
        )
        # Building and the first epoch as they were, every other epoch like the second.
        total += ends[0] - start + (case.epochs - 1) * (ends[1] - ends[0])
        accuracies[str(dropout)] = float(history.history["val_accuracy"][-1])
    return Trained(total, 0.0, accuracies)


def measure(case: Case, folder: Path, ours: Side, course: Side, repeats: int) -> dict[str, Any]:
    """Return the row of one pooling."""
    found = alternate(
        {
            "ours": lambda repeat: ours(train_ours, case, folder, repeat),
            "course": lambda repeat: course(train_course, case, folder, repeat),
        },
        repeats,
        f"transfer, {case.pooling}",
    )
    return compare(
        f"transfer and transfer_dropout, {case.epochs} epochs, {case.pooling}",
        "s",
        [trained.seconds for trained in found["ours"]],
        [trained.seconds for trained in found["course"]],
        other_name=f"the course's way, scaled from {COURSE_EPOCHS} to {case.epochs} epochs",
        target=TARGETS[case.pooling],
        seconds_features=[round(trained.seconds_features, 2) for trained in found["ours"]],
        validation_accuracy_by_dropout={
            f"ours, {case.epochs} epochs": [trained.accuracies for trained in found["ours"]],
            f"other, {COURSE_EPOCHS} epochs": [trained.accuracies for trained in found["course"]],
        },
    )


def main() -> None:
    """Bring images and weights, train in turns, write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--pooling", choices=TARGETS, help="measure this one only")
    arguments = parser.parse_args()
    announce(arguments.scale, {"toy": "2 minutes", "short": "15 minutes", "full": "50 minutes"})
    scale, only = SCALES[arguments.scale], arguments.pooling
    with tempfile.TemporaryDirectory(prefix="peer-transfer-") as name:
        folder = Path(name)
        drawn = 2 * (scale.images_per_class or 1000)
        pictures = bring_archive(folder / "archives", drawn, scale.image_size, real=scale.real)
        start = time.perf_counter()
        rows = ingest(folder / "archives", folder / "arrays", scale.image_size, scale.images_per_class)
        ingest_seconds = time.perf_counter() - start
        unpack(rows, folder / "archives", folder / "files")
        with Side(start_ours) as ours, Side(start_course) as course:
            weights, told = find_weights(scale.architecture, folder, course)
            cases = [
                Case(scale.image_size, scale.epochs, pooling, scale.architecture, scale.last_layer, weights)
                for pooling in ([only] if only else scale.poolings)
            ]
            found = [measure(case, folder, ours, course, scale.repeats) for case in cases]
        counts = read_json(folder / "arrays" / "dataset.json")["counts"]
    write_result(
        arguments,
        found,
        name=f"peer_transfer_{only}" if only else None,
        pictures=pictures,
        images=counts,
        weights=told,
        ingest_seconds=round(ingest_seconds, 2),
    )


def find_weights(architecture: str, folder: Path, course: Side) -> tuple[Path, str]:
    """Return InceptionV3's weights from beside the data, or random ones made in `folder`, and what they are."""
    data = data_folder()
    real = data.parent / "weights" / INCEPTION_FILE if data else None
    if architecture == "InceptionV3" and real is not None and real.is_file():
        return real, "of ImageNet"
    path = folder / "random.weights.h5"
    course(make_weights, architecture, path)
    return path, "random: the accuracies mean nothing"


if __name__ == "__main__":
    main()
