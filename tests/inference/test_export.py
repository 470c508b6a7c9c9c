import json
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_study import start_keras

start_keras()

import keras  # noqa: E402

from convnet.data.decoding import load_image  # noqa: E402
from convnet.inference import export  # noqa: E402
from convnet.models.cnn import build_head  # noqa: E402
from convnet.models.heads import as_probabilities, choose_head  # noqa: E402
from convnet.system.errors import UserError  # noqa: E402
from helpers.saved_variant import IMAGE_SIZE, write_variant  # noqa: E402
from helpers.tiny_dataset import encoded, picture  # noqa: E402

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_variant(tmp_path_factory.mktemp("models") / "baseline", CLASSES, kind="rendered") / "seed-0.keras"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(5):
        (folder / f"{seed}.png").write_bytes(encoded(picture(seed)))
    (folder / "bad.png").write_text("no image")
    return folder


def decoded(pictures: Path) -> np.ndarray:
    """The images as a user of the exported model would prepare them."""
    names = [f"{seed}.png" for seed in range(5)]
    return np.stack([load_image((pictures / name).read_bytes(), name, IMAGE_SIZE) for name in names]).astype("float32")


def expected(model: Path, images: np.ndarray) -> np.ndarray:
    return as_probabilities(keras.saving.load_model(model).predict(images, verbose=0))


def test_onnx_gives_the_same_probabilities_and_carries_its_labels(model: Path, pictures: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [export] is not installed")
    pytest.importorskip("tf2onnx", reason="the extra [export] is not installed")
    done = export.export_model(model, "onnx", tmp_path / "tiny.onnx", [pictures])
    assert (done.images, done.real, done.rounding) == (5, True, None)
    assert done.difference < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "tiny.onnx")
    found = session.run(None, {session.get_inputs()[0].name: decoded(pictures)})[0]
    np.testing.assert_allclose(found, expected(model, decoded(pictures)), atol=1e-5)
    labels = json.loads(session.get_modelmeta().custom_metadata_map["convnet"])
    assert labels == json.loads((tmp_path / "tiny.onnx.labels.json").read_text())
    assert labels["classes"] == list(CLASSES)
    assert labels["learnt_from"] == "rendered"
    assert labels["input"]["image_size"] == list(IMAGE_SIZE)
    assert labels["temperature"] > 1.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preprocess.py", "tiny.onnx", "tiny.onnx.labels.json"]


def test_litert_gives_the_same_probabilities(model: Path, pictures: Path, tmp_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="the extra [export] is not installed")
    done = export.export_model(model, "litert", tmp_path / "tiny.tflite", [pictures])
    assert done.difference < 1e-5
    runner = interpreter.Interpreter(str(tmp_path / "tiny.tflite")).get_signature_runner()
    image = decoded(pictures)[:1]
    (found,) = runner(**{next(iter(runner.get_input_details())): image}).values()
    np.testing.assert_allclose(found, expected(model, image), atol=1e-5)
    assert json.loads(done.labels.read_text())["classes"] == list(CLASSES)


def test_saved_model_gives_both_classes_of_a_sigmoid(pictures: Path, tmp_path: Path) -> None:
    model = write_variant(tmp_path / "two") / "seed-0.keras"
    done = export.export_model(model, "saved_model", tmp_path / "exported", [pictures])
    assert done.difference < 1e-5
    loaded = keras.layers.TFSMLayer(tmp_path / "exported", call_endpoint="serving_default")(decoded(pictures))
    (found,) = loaded.values()
    np.testing.assert_allclose(found, expected(model, decoded(pictures)), atol=1e-5)
    assert json.loads((tmp_path / "exported" / "assets.extra" / "labels.json").read_text())["classes"] == [
        "blue",
        "green",
    ]


def test_mixed_precision_is_exported_in_float32_and_its_own_rounding_told(pictures: Path, tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = write_variant(tmp_path / "mixed", CLASSES) / "seed-0.keras"
    finally:
        keras.config.set_dtype_policy("float32")
    done = export.export_model(model, "saved_model", tmp_path / "exported", [pictures])
    assert done.difference < 1e-5
    assert done.rounding is not None
    assert 1e-5 < done.rounding < 0.1  # bfloat16 keeps 8 bits of a number
    loaded = keras.layers.TFSMLayer(tmp_path / "exported", call_endpoint="serve")(decoded(pictures))
    assert str(loaded.dtype) == "<dtype: 'float32'>"


def test_16_bits_are_found_in_an_inner_network(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        head = build_head(4, 8, 0.0, choose_head(3, "sparse"))
    finally:
        keras.config.set_dtype_policy("float32")
    inputs = keras.Input((4,))
    whole = keras.Model.from_config(keras.Model(inputs, head(inputs)).get_config())
    assert all(layer.compute_dtype == "float32" for layer in whole.layers), "else the test shows nothing"
    assert not export.computes_in_float32(whole)
    assert export.computes_in_float32(export.in_float32(whole))


def test_fault_of_the_rebuilt_network_is_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuild = export.in_float32

    def faulty(saved: keras.Model) -> keras.Model:
        twin = rebuild(saved)
        twin.set_weights([weight / 2 for weight in twin.get_weights()])
        return twin

    monkeypatch.setattr(export, "in_float32", faulty)
    with pytest.raises(UserError, match="gives other probabilities"):
        export.export_model(model, "saved_model", tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_dataset_that_is_a_path_names_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = write_variant(tmp_path / "models", dataset="../up") / "seed-0.keras"
    with pytest.raises(UserError, match=r"names the dataset '\.\./up', which is not a file name; give --output"):
        export.export_model(model, "saved_model")


def test_other_probabilities_are_refused_and_nothing_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_DIFFERENCE", -1.0)  # no export can be that equal
    with pytest.raises(UserError, match="gives other probabilities"):
        export.export_model(model, "saved_model", tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_missing_package_names_the_extra(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r"tf2onnx.*pip install 'convnet\[export\]'"):
        export.export_model(model, "onnx", tmp_path / "tiny.onnx")


@pytest.mark.parametrize(("target", "name"), [("onnx", "tiny.bin"), ("litert", "tiny.lite")])
def test_suffix_that_other_programs_would_not_know_is_refused(model: Path, tmp_path: Path, target, name: str) -> None:
    with pytest.raises(UserError, match="must end in"):
        export.export_model(model, target, tmp_path / name)


def test_folder_that_holds_something_is_not_replaced(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="holds something"):
        export.export_model(model, "saved_model", tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_preprocess_of_the_user_is_not_replaced(model: Path, tmp_path: Path) -> None:
    (tmp_path / "preprocess.py").write_text("mine")
    with pytest.raises(UserError, match=r"preprocess\.py is another file"):
        export.export_model(model, "onnx", tmp_path / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["preprocess.py"]


def test_pictures_without_a_usable_one_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(UserError, match="no usable image to compare on"):
        export.export_model(model, "saved_model", tmp_path / "exported", [tmp_path / "bad.png"])
