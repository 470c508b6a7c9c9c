"""A KerasHub preset made here is pinned, and its whole chain runs; a text without the extra names the command."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from PIL import Image

from convnet.analysis.explain import explain_dataset
from convnet.cli.main import main
from convnet.engine.variants import train_variants
from convnet.evaluation.evaluate import evaluate
from convnet.evaluation.model_selection import choose_best
from convnet.features.dataset import bring_dataset
from convnet.features.hub_weights import FILES, pack
from convnet.inference.export import export_model
from convnet.jobs.feature_plan import plan_features
from convnet.jobs.model_files import check_model
from convnet.jobs.predictions import load_predictions
from convnet.params.edit import write_backbone
from convnet.params.load import load_params
from convnet.params.presets import EXTRA
from convnet.system.errors import UserError
from convnet.system.files import file_digest, read_json
from helpers import tiny_study as tiny

tiny.start_keras()

needs_hub = pytest.mark.skipif(importlib.util.find_spec("keras_hub") is None, reason="keras-hub (extra hub) is absent")
SIDE = 28
SCALE, OFFSET = [1 / 58.4, 1 / 57.1, 1 / 57.4], [-2.1, -2.0, -1.8]
COUNTS = {"train": 8, "validation": 4, "test": 4}


def encoder(kind: str) -> Any:
    """Return a small random network for images."""
    from keras_hub import models

    shape = (SIDE, SIDE, 3)
    common = {"patch_size": 14, "num_layers": 1, "num_heads": 2, "hidden_dim": 16, "image_shape": shape}
    if kind == "DINOV2":
        return models.DINOV2Backbone(
            **common, intermediate_dim=32, position_embedding_shape=(2 * SIDE, 2 * SIDE), layer_scale_init_value=1.0
        )
    if kind == "ViT":
        return models.ViTBackbone(**common, mlp_dim=32)
    if kind == "CLIP":
        from keras_hub.src.models.clip.clip_vision_encoder import CLIPVisionEncoder

        text = models.CLIPTextEncoder(
            vocabulary_size=32, embedding_dim=16, hidden_dim=16, num_layers=1, num_heads=2, intermediate_dim=32,
            intermediate_activation="quick_gelu", intermediate_output_index=None, max_sequence_length=8,
        )  # fmt: skip
        vision = CLIPVisionEncoder(
            **common, intermediate_dim=32, intermediate_activation="quick_gelu", intermediate_output_index=None
        )
        return models.CLIPBackbone(vision, text, projection_dim=12)
    return models.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[3], stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2], block_type="basic_block", use_pre_activation=True,
    )  # fmt: skip


def write_preset(folder: Path, kind: str) -> Any:
    """Write a preset of random weights, and return its network."""
    import keras_hub

    keras.utils.set_random_seed(0)
    network = encoder(kind)
    network.save_to_preset(str(folder))
    converter = getattr(keras_hub.layers, f"{kind}ImageConverter")
    converter(image_size=(SIDE, SIDE), scale=SCALE, offset=OFFSET).save_to_preset(str(folder))
    return network


def pin(monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    monkeypatch.setattr(sys, "argv", ["convnet", "preset", preset])
    main()


@needs_hub
@pytest.mark.parametrize("kind", ["DINOV2", "ViT", "CLIP", "ResNet"])
def test_network_gives_the_pooled_output_of_the_preset(kind: str, tmp_path: Path) -> None:
    from convnet.models.backbones import rescale
    from convnet.models.hub import build_preset, describe_preset

    network = write_preset(tmp_path / "preset", kind)
    archive = tmp_path / "preset.zip"
    pack({name: tmp_path / "preset" / name for name in FILES}, archive)
    facts = describe_preset(archive)
    assert facts["native_size"] == SIDE
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)
    scaled = pixels * np.array(SCALE, np.float32) + np.array(OFFSET, np.float32)
    assert np.allclose(rescale(facts["input_range"])(pixels), scaled, atol=1e-5)
    if kind == "CLIP":
        expected = np.asarray(network.get_vision_embeddings(scaled))
    elif kind == "ResNet":
        expected = np.asarray(network(scaled)).mean(axis=(1, 2))
    else:
        expected = np.asarray(network({"images": scaled} if isinstance(network.input, dict) else scaled))[:, 0]
    found = build_preset(archive, (SIDE, SIDE)).predict_on_batch(scaled)
    assert found.shape == (2, 1, 1, expected.shape[1])
    assert np.allclose(found[:, 0, 0], expected, atol=1e-4)
    assert build_preset(archive, (40, 30)).output_shape == (None, 1, 1, expected.shape[1])


@needs_hub
@pytest.mark.parametrize("kind", ["DINOV2", "CLIP"])
def test_whole_chain_runs(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_preset(Path("small"), kind)
    tiny.write_params(tmp_path)
    pin(monkeypatch, f"hub:{tmp_path}/small")
    pinned = load_params().backbones["hub:small"]
    assert pinned.weights is not None
    assert pinned.native_size == SIDE
    entry = pinned.model_dump(mode="json")
    changes = {
        "backbones.hub:small": entry, "datasets.tiny.backbone": "hub:small", "datasets.tiny.image_size": [32, 32],
        "run.pixel_variants": ["baseline"], "run.feature_variants": ["transfer", "probe"],
        "run.fine_tune_variants": [], "training.batch_size": 4, "transfer.batch_size": 4, "transfer.epochs": 1,
        "variants.probe": {"transfer": True, "probe": True}, "explain.images": 1, "robustness.images_per_split": 2,
    }  # fmt: skip
    tiny.write_arrays(Path("arrays"), image_size=(32, 32), counts=COUNTS)
    params = tiny.params(Path(), changes)
    arrays, models = Path("arrays"), Path("models")
    assert bring_dataset(params, "tiny", plan_features(params, "tiny"), arrays, Path("b"), Path("features")) == []
    assert read_json(Path("b/backbone.json"))["sha256"] == pinned.weights.sha256
    train_variants(params, arrays, Path("features"), Path("b"), models)
    assert evaluate(arrays, models / "probe", Path("features")).backbone == "hub:small"
    explain_dataset(params, "tiny", arrays, models, Path("explanations"))
    assert tiny.robustness(params, arrays, models).keys() == {*params.run.variants}
    choose_best(models, ["transfer", "probe"], "rendered", Path("best"))
    best = next(Path("best").glob("*.keras"))
    saved = keras.saving.load_model(models / "transfer" / "seed-0.keras", compile=False)
    outputs = saved.predict_on_batch(np.load(arrays / "test" / "images.npy")).reshape(-1)
    stored = load_predictions(models / "transfer" / "predictions.npz")[0]["test"].probabilities
    assert np.allclose(outputs, stored[:, 1], atol=1e-3)
    Image.fromarray(np.load(arrays / "test" / "images.npy")[0]).save("image.png")
    if kind == "DINOV2":  # in a new process, which has not imported KerasHub
        command = [sys.executable, "-m", "convnet.cli.main", "predict", "--format", "csv", "best", "image.png"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert printed.splitlines()[1].startswith("image.png,")
    assert export_model(best, "saved_model", Path("exported")).difference < 1e-3
    tuned = {**changes, "run.fine_tune_variants": ["fine_tune"]}
    with pytest.raises(UserError, match="KerasHub preset and stays frozen"):
        tiny.params(Path(), tuned)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        check_model(models / "transfer" / "seed-0.keras")


@needs_hub
def test_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write_preset(Path("small"), "ViT")
    tiny.write_params(tmp_path)
    pin(monkeypatch, f"hub:{tmp_path}/small")
    before = Path("params.yaml").read_text("utf-8")
    pin(monkeypatch, f"hub:{tmp_path}/small")
    assert Path("params.yaml").read_text("utf-8") == before
    with Path("small/model.weights.h5").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SystemExit):
        pin(monkeypatch, f"hub:{tmp_path}/small")
    assert "delete the entry if you trust them" in capsys.readouterr().err
    assert Path("params.yaml").read_text("utf-8") == before


def test_without_the_extra_one_sentence_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(SystemExit):
        pin(monkeypatch, "hub:dinov2_small")
    assert capsys.readouterr().err.strip().endswith(EXTRA)


def test_preset_without_a_hash_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"whose hash is not pinned; type: convnet preset hub:dinov2_small$"):
        tiny.params(tmp_path, {"datasets.tiny.backbone": "hub:dinov2_small"})
    with pytest.raises(UserError, match=r"type: convnet preset hub:/a/b, and name hub:b here$"):
        tiny.params(tmp_path, {"datasets.tiny.backbone": "hub:/a/b"})


def test_equal_files_pack_to_equal_bytes_and_a_pin_keeps_the_rest_of_the_file(tmp_path: Path) -> None:
    files = {}
    for name in FILES:
        files[name] = tmp_path / name
        files[name].write_text(name)
    pack(files, tmp_path / "a.zip")
    files[FILES[0]].touch()
    pack(files, tmp_path / "b.zip")
    assert file_digest(tmp_path / "a.zip") == file_digest(tmp_path / "b.zip")
    path = tiny.write_params(tmp_path)
    before = yaml.safe_load(path.read_text("utf-8"))
    weights = {"url": "hub:x", "sha256": "0" * 64}
    entry = {"architecture": "hub:x", "weights": weights, "input_range": [-1.0, [1.0, 1.0, 1.1]], "native_size": 224}
    write_backbone(path, "hub:x", entry)
    after = yaml.safe_load(path.read_text("utf-8"))
    assert after["backbones"].pop("hub:x") == entry
    assert after == before
    files[FILES[2]].unlink()
    with pytest.raises(UserError, match=r"holds no model\.weights\.h5"):
        pack(files, tmp_path / "c.zip")
