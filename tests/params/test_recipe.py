"""The recipe of every kind of variant, resolved from the committed settings with small changes."""

from pathlib import Path
from typing import Any

import pytest

from convnet.params.load import load_params
from convnet.params.recipe import FineTuneRecipe, HeadRecipe, resolve
from convnet.params.schema import Params
from convnet.system.errors import UserError
from helpers import tiny_study as tiny


def load(folder: Path, key: str, value: Any) -> Params:
    """Load the committed settings with one value changed."""
    settings = tiny.committed()
    tiny.change(settings, key, value)
    return load_settings(folder, settings)


def load_settings(folder: Path, settings: Any) -> Params:
    (folder / "params.yaml").write_text(tiny.as_yaml(settings), "utf-8")
    return load_params(folder / "params.yaml")


def test_every_variant_resolves_on_every_dataset() -> None:
    params = load_params(tiny.PROJECT / "params.yaml")
    for dataset in params.datasets:
        for variant in params.variants:
            recipe = resolve(params, dataset, variant)
            assert (recipe.dataset, recipe.variant) == (dataset, variant)


def test_recipes_of_the_course() -> None:
    params = load_params(tiny.PROJECT / "params.yaml")
    baseline, larger = (resolve(params, "cats_vs_dogs", name) for name in ("baseline", "larger"))
    assert (baseline.network.filters, baseline.network.dense, baseline.image_size) == ((16, 32, 64), 512, (150, 150))
    assert (baseline.fit.optimizer, baseline.fit.learning_rate, baseline.fit.batch_size) == ("rmsprop", 0.001, 20)
    assert (larger.network.filters, larger.fit.learning_rate) == ((32, 64, 128, 128), 0.0001)
    transfer = resolve(params, "cats_vs_dogs", "transfer_dropout")
    assert (transfer.kind, transfer.last_layer, transfer.dense) == ("features", "mixed7", 1024)
    assert (transfer.dropout, transfer.pooling, transfer.fit.learning_rate) == (0.2, "flatten", 0.0001)
    knobs = resolve(params, "cats_vs_dogs", "augmented").augmentation
    assert knobs is not None
    assert (knobs.rotation, knobs.width_shift, knobs.shear, knobs.zoom, knobs.fill) == (40.0, 0.2, 0.2, 0.2, "nearest")
    assert knobs.horizontal_flip
    assert resolve(params, "cats_vs_dogs", "fine_tune").trainable_from == "mixed6"


def test_variant_departs_from_the_baseline_only_where_it_says(tmp_path: Path) -> None:
    params = load(tmp_path, "variants.dropout", {"dropout": 0.5, "learning_rate": 0.002, "dense": 64})
    baseline, dropout = (
        resolve(params, "pets", "baseline").model_dump(),
        resolve(params, "pets", "dropout").model_dump(),
    )
    departures = {"variant": "dropout", "dropout": 0.5}
    assert dropout == {
        **(baseline | departures),
        "network": baseline["network"] | {"dense": 64},
        "fit": baseline["fit"] | {"learning_rate": 0.002},
    }


def test_dataset_departs_from_the_common_settings_and_a_variant_from_both(tmp_path: Path) -> None:
    settings = tiny.committed()
    tiny.change(settings, "datasets.pets.training", {"batch_size": 10, "epochs": 3})
    tiny.change(settings, "datasets.pets.network", {"dense": 32})
    tiny.change(settings, "datasets.pets.split", {"seed": 7})
    tiny.change(settings, "variants.dropout", {"dropout": 0.5, "epochs": 4})
    params = load_settings(tmp_path, settings)
    recipe = resolve(params, "pets", "dropout")
    assert (recipe.fit.batch_size, recipe.fit.epochs, recipe.network.dense) == (10, 4, 32)
    assert (params.split_rules("pets").seed, params.split_rules("hands").seed) == (7, 0)
    assert resolve(params, "hands", "dropout").fit.batch_size == 20


def test_augmented_transfer_caches_views_or_draws_fresh_ones(tmp_path: Path) -> None:
    def heads(params: Params) -> list[tuple[str, int | None]]:
        recipes = [resolve(params, "pets", variant) for variant in ("transfer_augmented", "transfer")]
        return [(recipe.kind, recipe.augmented_views) for recipe in recipes if isinstance(recipe, HeadRecipe)]

    cached = load(tmp_path, "run.feature_variants", ["transfer", "transfer_augmented"])
    assert heads(cached) == [("features", 4), ("features", None)]
    fresh = load(tmp_path, "transfer.fresh_views", True)
    assert heads(fresh) == [("pixels", None), ("features", None)]


def test_each_kind_has_only_the_settings_that_it_uses() -> None:
    params = load_params(tiny.PROJECT / "params.yaml")
    baseline, transfer, tuned = (resolve(params, "pets", name) for name in ("baseline", "transfer", "fine_tune"))
    common = {"dataset", "variant", "image_size", "fit", "augmentation", "kind", "dropout"}
    head = common | {"backbone", "last_layer", "pooling", "dense"}
    assert set(baseline.model_dump()) == common | {"network"}
    assert set(transfer.model_dump()) == head | {"augmented_views"}
    assert set(tuned.model_dump()) == head | {"start", "trainable_from"}
    assert [recipe.kind for recipe in (baseline, transfer, tuned)] == ["pixels", "features", "fine_tune"]


def test_fine_tuning_keeps_the_network_of_its_start(tmp_path: Path) -> None:
    settings = tiny.committed()
    tiny.change(settings, "variants.transfer", {"transfer": True, "dense": 64, "dropout": 0.25, "pooling": "average"})
    tuned = resolve(load_settings(tmp_path, settings), "pets", "fine_tune")
    assert isinstance(tuned, FineTuneRecipe)
    assert (tuned.start, tuned.dense, tuned.dropout, tuned.pooling) == ("transfer", 64, 0.25, "average")
    assert (tuned.backbone, tuned.last_layer, tuned.trainable_from) == ("compact", "block4_pool", "block4_conv")
    assert tuned.fit.learning_rate == 0.00001


def test_variant_changes_single_knobs_of_the_augmentation(tmp_path: Path) -> None:
    settings = tiny.committed()
    tiny.change(settings, "variants.augmented", {"augmentation": {"rotation": 10.0, "fill": "wrap"}})
    tiny.change(settings, "variants.transfer_augmented", {"transfer": True, "augmentation": {"zoom": 0.5}})
    params = load_settings(tmp_path, settings)
    common = params.augmentation
    assert resolve(params, "pets", "augmented").augmentation == common.model_copy(
        update={"rotation": 10.0, "fill": "wrap"}
    )
    views = resolve(params, "pets", "transfer_augmented")
    assert (views.augmentation, views.augmented_views) == (common.model_copy(update={"zoom": 0.5}), 4)
    assert resolve(params, "pets", "larger_augmented").augmentation == common
    assert resolve(params, "pets", "baseline").augmentation is None


def test_image_smaller_than_the_network_takes(tmp_path: Path) -> None:
    settings = tiny.committed()
    tiny.change(settings, "run.feature_variants", [])
    tiny.change(settings, "run.fine_tune_variants", [])
    tiny.change(settings, "datasets.pets.image_size", [64, 21])
    with pytest.raises(UserError, match=r"datasets.pets.image_size is \[64, 21\].* at least 22 pixels"):
        load_settings(tmp_path, settings)
    tiny.change(settings, "datasets.pets.image_size", [64, 22])
    assert resolve(load_settings(tmp_path, settings), "pets", "baseline").image_size == (64, 22)


def test_image_smaller_than_the_backbone_takes(tmp_path: Path) -> None:
    words = r"datasets.pets.image_size is \[31, 64\], but backbone compact takes images of at least 32 pixels"
    with pytest.raises(UserError, match=words):
        load(tmp_path, "datasets.pets.image_size", [31, 64])


PHOTOGRAPHS = {"kind": "photographs", "source": {"folder": "photos"}, "image_size": [64, 64], "backbone": "compact"}


def plateau_settings(**dataset: Any) -> Any:
    """Return the committed settings with a plateau for all, and one dataset that is run."""
    settings = tiny.committed()
    for section in ("training", "transfer", "fine_tune"):
        tiny.change(settings, f"{section}.length", "plateau")
    tiny.change(settings, "datasets.photos", PHOTOGRAPHS | dataset)
    tiny.change(settings, "run.datasets", ["photos"])
    return settings


def test_plateau_is_the_same_for_every_variant_of_a_dataset(tmp_path: Path) -> None:
    params = load_settings(tmp_path, plateau_settings(training={"epochs": 90}, transfer={"epochs": 90}))
    fits = [resolve(params, "photos", name).fit for name in (*params.run.variants, "larger", "transfer_augmented")]
    assert {(fit.length, fit.patience) for fit in fits} == {("plateau", 10)}
    assert [fit.epochs for fit in fits] == [90, 90, 90, 90, 90, 3, 90, 90]


def test_course_trains_a_fixed_length_whatever_the_common_settings_are(tmp_path: Path) -> None:
    params = load_settings(tmp_path, plateau_settings(recipe="course", training={"epochs": 15}))
    lengths = {name: resolve(params, "photos", name).fit.length for name in params.run.variants}
    assert set(lengths.values()) == {"fixed"}
    assert resolve(params, "photos", "baseline").fit.epochs == 15
    committed = load_params(tiny.PROJECT / "params.yaml")
    of_course = {
        name: committed.datasets[name].training["epochs"]
        for name in committed.datasets
        if committed.datasets[name].recipe == "course"
    }
    assert of_course == {"cats_vs_dogs": 15, "horses_or_humans": 15, "rock_paper_scissors": 25}


def test_plateau_with_early_stopping_is_refused(tmp_path: Path) -> None:
    words = r"photos/baseline has length: plateau, which ends by patience, and early_stopping: 5; leave this blank"
    with pytest.raises(UserError, match=words):
        load_settings(tmp_path, plateau_settings(training={"early_stopping": 5}))


def test_settings_without_a_length_train_a_fixed_one(tmp_path: Path) -> None:
    """As every params.yaml did that was written before the setting."""
    settings = tiny.committed()
    for section in ("training", "transfer", "fine_tune"):
        for key in ("length", "patience"):
            del settings[section][key]
    params = load_settings(tmp_path, settings)
    assert {resolve(params, "pets", variant).fit.length for variant in params.run.variants} == {"fixed"}
