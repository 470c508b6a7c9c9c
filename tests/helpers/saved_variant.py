"""A tiny trained variant as the train stage leaves it; call `tiny.start_keras` before."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from convnet.jobs.predictions import Prediction, save_predictions
from convnet.models.cnn import build_cnn
from convnet.models.heads import choose_head
from convnet.models.transfer import without_training
from convnet.params.training import Network
from convnet.system.files import file_digest
from helpers.tiny_dataset import picture

IMAGE_SIZE = (24, 20)


def build_model(classes: int, seed: int = 0) -> keras.Model:
    """Return an untrained network that tells `tiny_dataset.picture` of different seeds apart."""
    keras.utils.set_random_seed(seed)
    head = choose_head(classes, "sparse")
    model = build_cnn(IMAGE_SIZE, Network(filters=(4, 8), dense=8), 0.2, head)
    height, width = IMAGE_SIZE
    seen = np.stack([np.asarray(picture(number, (width, height)), dtype=np.float32) for number in range(32)])
    features = keras.Model(model.inputs, model.get_layer("dense").output).predict(seen, verbose=0)
    # Outputs centred and spread, as after training: each class is the most probable one for some images.
    kernel, _ = model.get_layer("output").get_weights()
    logits = features @ kernel
    model.get_layer("output").set_weights([kernel / logits.std(axis=0), -logits.mean(axis=0) / logits.std(axis=0)])
    return without_training(model)


def write_variant(
    folder: Path, classes: Sequence[str] = ("blue", "green"), seeds: Sequence[int] = (0,), **changes: Any
) -> Path:
    """Write models, job.json and predictions.npz, and return the folder; `changes` go into job.json."""
    folder.mkdir(parents=True)
    runs, predictions = [], {}
    for seed in seeds:
        path = folder / f"seed-{seed}.keras"
        build_model(len(classes), seed).save(path)
        runs.append({"seed": seed, "model_sha256": file_digest(path), "parameters": 100})
        predictions[seed] = {split: overconfident(len(classes), seed) for split in ("train", "validation", "test")}
    save_predictions(folder / "predictions.npz", predictions)
    write_job(folder, classes, runs, **changes)
    return folder


def write_job(folder: Path, classes: Sequence[str], runs: Sequence[dict[str, Any]], **changes: Any) -> None:
    """Write the job.json of models made here."""
    job = {
        "dataset": "tiny",
        "variant": "baseline",
        "classes": list(classes),
        "threads": 2,
        "recipe": {"image_size": list(IMAGE_SIZE)},
        "seeds": list(runs),
    }
    (folder / "job.json").write_text(json.dumps(job | changes))


def overconfident(classes: int, seed: int, right: float = 0.7, n: int = 40) -> Prediction:
    """Return predictions that are sure of themselves and right in a share of the cases."""
    labels = np.arange(n, dtype=np.int64) % classes
    shift = (np.random.default_rng([seed]).permutation(n) >= round(right * n)).astype(np.int64)
    probabilities = np.full((n, classes), 0.02 / (classes - 1), dtype=np.float32)
    probabilities[np.arange(n), (labels + shift) % classes] = 0.98
    return Prediction(probabilities, labels, np.arange(n, dtype=np.int64))
