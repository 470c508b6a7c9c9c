"""Training images as each remedy that changes images shows them to the network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from convnet.analysis.example_images import choose_evenly, read_examples
from convnet.analysis.figure_files import save_chart
from convnet.data.arrays import arrays_of_size
from convnet.jobs.predictions import load_predictions
from convnet.models.heads import choose_head, encode_labels
from convnet.params.recipe import VariantRecipe, resolve
from convnet.params.remedies import find_remedies
from convnet.params.schema import Params
from convnet.report.chart import Chart, Images
from convnet.report.charts.remedies import remedy_chart
from convnet.system.files import read_json, write_json
from convnet.system.language import mark, tr
from convnet.training.hooks import Hooks

EPOCHS = (1, 2)
MIXTURES = mark("Here each image is mixed with the one on its left, and the first image with the last.")


def draw_remedies(params: Params, dataset: str, arrays: Path, models: Path, destination: Path) -> None:
    """Draw a figure for each remedy of the run that changes images, and add it to `figures.json` of `destination`.

    The course's augmentation is left out: it has figures of its own.
    """
    entries = read_json(destination / "figures.json")
    described = read_json(arrays / "dataset.json")
    for remedy, recipe in changing_remedies(params, dataset).items():
        chart = _chart(params, remedy, recipe, arrays, models, described)
        entries.append(save_chart(chart, destination, "."))
    write_json(destination / "figures.json", entries)


def changing_remedies(params: Params, dataset: str) -> dict[str, VariantRecipe]:
    """Return the remedies that change images, each with the recipe of the first variant that has it."""
    recipes = [resolve(params, dataset, variant) for variant in params.run.variants]
    found: dict[str, VariantRecipe] = {}
    for recipe in recipes:
        for name in recipe.remedies if recipe.kind != "features" else ():
            if find_remedies()[name].batch:
                found.setdefault(name, recipe)
    return found


def apply_remedy(
    remedy: str,
    recipe: VariantRecipe,
    images: Images,
    labels: NDArray[np.int64],
    classes: int,
    moment: tuple[int, int],
) -> tuple[Images, NDArray[np.float32]]:
    """Return images and labels as training sees them in an epoch, by the remedy's own hook and draws.

    Args:
        remedy: its name.
        recipe: holds its settings.
        images: uint8 (n, height, width, 3), as one batch.
        labels: (n,), class numbers.
        classes: number of classes.
        moment: the seed, and the epoch from 1.

    Returns:
        uint8 (n, height, width, 3), and the share of each class in each label, (n, classes).
    """
    alone = recipe.model_copy(update={"remedies": {remedy: recipe.remedies[remedy]}, "augmentation": None})
    hooks = Hooks(alone)
    targets = encode_labels(labels, choose_head(classes, "one_hot"))
    parts = (images, targets, *hooks.draws(*moment, len(images)))
    changed, mixed = map(ops.convert_to_numpy, hooks.change()(tuple(map(ops.convert_to_tensor, parts))))
    shares = np.concatenate([1 - mixed, mixed], axis=1) if classes == 2 else mixed
    return np.clip(np.round(changed), 0, 255).astype(np.uint8), shares


def _chart(
    params: Params, remedy: str, recipe: VariantRecipe, arrays: Path, models: Path, described: Mapping[str, Any]
) -> Chart:
    seed = params.run.seeds[0]
    train = load_predictions(models / recipe.variant / "predictions.npz")[seed]["train"]
    chosen = choose_evenly(train.labels, params.explain.images, params.split.seed)
    folder = arrays_of_size(arrays, recipe.image_size)
    images = read_examples(folder, "train", train, chosen, params.run.own_splits).images
    labels, classes = train.labels[chosen], described["classes"]
    rows = {tr("original"): (images, [classes[label] for label in labels])}
    for epoch in EPOCHS:
        changed, shares = apply_remedy(remedy, recipe, images, labels, len(classes), (seed, epoch))
        rows[tr("epoch {number}", number=epoch)] = (changed, [_words(of_image, classes) for of_image in shares])
    used = find_remedies()[remedy]
    sentence = f"{tr(used.sentence)} {tr(MIXTURES)}" if used.mixes else tr(used.sentence)
    return remedy_chart(remedy, sentence, recipe.variant, rows, described)


def _words(shares: NDArray[np.float32], classes: Sequence[str]) -> str:
    """Return the classes of a label, with their shares where there are two."""
    present = [place for place in np.argsort(-shares, kind="stable") if round(100 * float(shares[place])) > 0]
    if len(present) == 1:
        return str(classes[present[0]])
    return "\n".join(f"{100 * shares[place]:.0f} % {classes[place]}" for place in present)
