"""Keras' recommended way of today, written out: image_dataset_from_directory, cache, augmentation layers, fit."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.material import BATCH_SIZE, SMALL, Trained

TIMED_EPOCHS = 2  # of transfer; the rest is scaled
LAST_LAYER, TRAINABLE_FROM = "mixed7", "mixed6"


class Guide(NamedTuple):
    """What is trained.

    Attributes:
        case: plain, augmented, transfer or fine_tune.
        files: folder with `train` and `validation`, each with a folder per class.
        image_size: (height, width).
        epochs: of the last training.
        weights: of InceptionV3.
    """

    case: str
    files: Path
    image_size: tuple[int, int]
    epochs: int
    weights: Path | None


def train_keras(guide: Guide, seed: int) -> Trained:
    """Train as the guides of keras.io do; only the model is kept."""
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    small = guide.case in ("plain", "augmented")
    start = time.perf_counter()
    training, validation = (_keras_images(guide, split, seed) for split in ("train", "validation"))
    model = _small_cnn(guide) if small else _on_backbone(guide)
    building = time.perf_counter() - start
    seconds, accuracy = _fit(model, training, validation, guide.epochs if small else TIMED_EPOCHS)
    if guide.case == "transfer":
        seconds = seconds[:1] + [seconds[1]] * (guide.epochs - 1)
    elif guide.case == "fine_tune":  # the epochs of the head are not counted
        start = time.perf_counter()
        _unfreeze(model)
        building = time.perf_counter() - start
        seconds, accuracy = _fit(model, training, validation, guide.epochs)
    saving = time.perf_counter()
    model.save(guide.files.parent / "keras.keras")
    return Trained(building + sum(seconds) + time.perf_counter() - saving, accuracy, sum(seconds))


def _unfreeze(model: Any) -> None:
    import keras

    cut = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    cut.trainable = True
    for layer in cut.layers[: [layer.name for layer in cut.layers].index(TRAINABLE_FROM)]:
        layer.trainable = False
    model.compile(keras.optimizers.RMSprop(0.00001), "binary_crossentropy", metrics=["accuracy"])


def _fit(model: Any, training: Any, validation: Any, epochs: int) -> tuple[list[float], float]:
    """Return the seconds of each epoch, and the last validation accuracy."""
    import keras

    ends = [time.perf_counter()]
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    history = model.fit(training, validation_data=validation, epochs=epochs, verbose=0, callbacks=[clock])
    return [end - begin for begin, end in pairwise(ends)], float(history.history["val_accuracy"][-1])


def _keras_images(guide: Guide, split: str, seed: int) -> Any:
    import keras
    import tensorflow as tf

    images = keras.utils.image_dataset_from_directory(
        guide.files / split, label_mode="binary", image_size=guide.image_size,
        batch_size=None if split == "train" else BATCH_SIZE, seed=seed, shuffle=split == "train", verbose=False,
    ).cache()  # fmt: skip
    if split == "train":
        images = images.shuffle(1000, seed=seed).batch(BATCH_SIZE)
    return images.prefetch(tf.data.AUTOTUNE)


def _small_cnn(guide: Guide) -> Any:
    import keras
    from keras import layers

    moves = [
        layers.RandomFlip("horizontal"), layers.RandomRotation(40 / 360, fill_mode="nearest"),
        layers.RandomTranslation(0.2, 0.2, fill_mode="nearest"), layers.RandomZoom(0.2, fill_mode="nearest"),
    ]  # fmt: skip
    model = keras.Sequential([keras.Input((*guide.image_size, 3))])
    for layer in moves if guide.case == "augmented" else ():
        model.add(layer)
    model.add(layers.Rescaling(1 / 255))
    for filters in SMALL:
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(1, activation="sigmoid")):
        model.add(layer)
    model.compile(keras.optimizers.RMSprop(0.001), "binary_crossentropy", metrics=["accuracy"])
    return model


def _on_backbone(guide: Guide) -> Any:
    import keras
    from keras import layers

    size = (*guide.image_size, 3)
    pretrained = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=size)
    pretrained.load_weights(guide.weights)
    pretrained.trainable = False
    cut = keras.Model(pretrained.input, pretrained.get_layer(LAST_LAYER).output)
    image = keras.Input(size)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = layers.GlobalAveragePooling2D()(cut(x, training=False))
    x = layers.Dense(1024, activation="relu")(x)
    model = keras.Model(image, layers.Dense(1, activation="sigmoid")(x))
    model.compile(keras.optimizers.RMSprop(0.0001), "binary_crossentropy", metrics=["accuracy"])
    return model
