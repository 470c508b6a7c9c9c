"""Models cut behind their backbone, each beside the whole model as Keras loads it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from convnet.analysis.halves import Loader
from convnet.models.backbones import BACKBONE, build_compact, cut
from convnet.models.cnn import build_head
from convnet.models.heads import choose_head
from convnet.models.transfer import build_transfer
from convnet.system.files import file_digest
from helpers import saved_variant
from helpers.tiny_study import start_keras

start_keras()

SIZE = saved_variant.IMAGE_SIZE
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3)).astype(np.uint8)


def transfer_model(backbone_seed: int, head_seed: int, pooling: str) -> keras.Model:
    keras.utils.set_random_seed(backbone_seed)
    backbone = cut(build_compact(SIZE, (4, 8), 3), "block2_pool", "last_layer")
    keras.utils.set_random_seed(head_seed)
    features = {"average": 8, "flatten": 8 * (SIZE[0] // 4) * (SIZE[1] // 4)}[pooling]
    head = build_head(features, 6, 0.2, choose_head(2, "sparse"))
    return build_transfer(backbone, (0.0, 1.0), pooling, head)


def write_models(folder: Path, models: Sequence[keras.Model]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"seed-{seed}.keras" for seed in range(len(models))]
    for path, model in zip(paths, models, strict=True):
        model.save(path)
    runs = [{"seed": seed, "model_sha256": file_digest(path)} for seed, path in enumerate(paths)]
    saved_variant.write_job(folder, ("blue", "green"), runs)
    return paths


def outputs(model: keras.Model, inputs: Any = IMAGES) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(model(inputs, training=False)))


@pytest.mark.parametrize("pooling", ["average", "flatten"])
def test_models_of_one_backbone_share_it_and_keep_their_heads(tmp_path: Path, pooling: str) -> None:
    paths = [
        *write_models(tmp_path / "transfer", [transfer_model(0, head, pooling) for head in range(4)]),
        *write_models(tmp_path / "dropout", [transfer_model(0, head, pooling) for head in (8, 9)]),
    ]
    loader = Loader()
    halves = [loader.halve(path) for path in paths]  # all, before any is compared
    ((digest, front),) = loader.fronts.items()
    assert {half.front for half in halves} == {digest}
    for path, half in zip(paths, halves, strict=True):
        whole = outputs(keras.saving.load_model(path))
        assert np.array_equal(outputs(half.back, outputs(front)), whole)


def test_each_tuned_backbone_is_a_front_of_its_own(tmp_path: Path) -> None:
    # The second and the fourth have the same backbone, so later models are read into the fourth.
    seeds = [(0, 0), (1, 1), (2, 2), (1, 3), (3, 4), (0, 5)]
    paths = write_models(tmp_path / "fine_tune", [transfer_model(*pair, "average") for pair in seeds])
    loader = Loader()
    halves = [loader.halve(path) for path in paths]
    assert len(loader.fronts) == 4
    for path, half in zip(paths, halves, strict=True):
        assert half.front is not None
        whole = outputs(keras.saving.load_model(path))
        assert np.array_equal(outputs(half.back, outputs(loader.fronts[half.front])), whole)


def test_a_model_without_a_backbone_is_whole(tmp_path: Path) -> None:
    folder = saved_variant.write_variant(tmp_path / "baseline", seeds=(0, 1))
    loader = Loader()
    for path in sorted(folder.glob("*.keras")):
        half = loader.halve(path)
        assert half.front is None
        assert BACKBONE not in {layer.name for layer in half.back.layers}
        assert np.array_equal(outputs(half.back), outputs(keras.saving.load_model(path)))
    assert loader.fronts == {}
