import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_study import start_keras

start_keras()

import keras  # noqa: E402

from convnet.inference.loading import load_model_checked  # noqa: E402
from convnet.jobs.model_files import check_model, find_model  # noqa: E402
from convnet.system.errors import UserError  # noqa: E402
from convnet.system.files import file_digest  # noqa: E402
from helpers.saved_variant import IMAGE_SIZE, build_model, write_job, write_variant  # noqa: E402


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_variant(tmp_path_factory.mktemp("models") / "baseline", seeds=(3, 1))


def test_folder_means_its_first_seed_and_a_seed_its_own_file(variant: Path) -> None:
    assert find_model(variant) == variant / "seed-3.keras"
    assert find_model(variant, 1) == variant / "seed-1.keras"


def test_unknown_seed_names_the_known_ones(variant: Path) -> None:
    with pytest.raises(UserError, match="no model of seed 7; its seeds are 1, 3"):
        find_model(variant, 7)


def test_seed_beside_a_file_is_refused(variant: Path) -> None:
    with pytest.raises(UserError, match="--seed chooses among the models of a folder"):
        find_model(variant / "seed-1.keras", 1)


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing.keras is missing"):
        find_model(tmp_path / "nothing.keras")


def test_facts_come_from_the_run_of_the_same_digest_whatever_the_name(variant: Path, tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes((variant / "seed-1.keras").read_bytes())
    (tmp_path / "job.json").write_bytes((variant / "job.json").read_bytes())
    facts = check_model(tmp_path / "model.keras")
    assert (facts.seed, facts.classes, facts.image_size) == (1, ("blue", "green"), IMAGE_SIZE)


def test_checked_model_gives_the_probabilities_of_the_one_that_was_saved(variant: Path) -> None:
    images = np.random.default_rng([0]).integers(0, 256, (3, *IMAGE_SIZE, 3)).astype(np.float32)
    model, _ = load_model_checked(variant / "seed-1.keras")
    np.testing.assert_array_equal(model.predict(images, verbose=0), build_model(2, 1).predict(images, verbose=0))


def _alone(folder: Path, content: bytes, name: str = "seed-0.keras") -> Path:
    """Put a file beside a job.json that describes exactly this file."""
    path = folder / name
    path.write_bytes(content)
    write_job(folder, ("blue", "green"), [{"seed": 0, "model_sha256": file_digest(path), "parameters": 1}])
    return path


def test_truncated_model_is_refused(variant: Path, tmp_path: Path) -> None:
    path = tmp_path / "seed-1.keras"
    path.write_bytes((variant / "seed-1.keras").read_bytes()[:-200])
    (tmp_path / "job.json").write_bytes((variant / "job.json").read_bytes())
    with pytest.raises(UserError, match="another SHA-256"):
        load_model_checked(path)


def test_truncated_model_with_a_fitting_digest_is_refused(variant: Path, tmp_path: Path) -> None:
    path = _alone(tmp_path, (variant / "seed-1.keras").read_bytes()[:-200])
    with pytest.raises(UserError, match="damaged configuration"):
        load_model_checked(path)


def test_model_without_job_is_refused(variant: Path, tmp_path: Path) -> None:
    path = tmp_path / "seed-1.keras"
    path.write_bytes((variant / "seed-1.keras").read_bytes())
    with pytest.raises(UserError, match=r"it lacks job\.json"):
        load_model_checked(path)


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_hdf5_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = _alone(tmp_path, b"\x89HDF\r\n\x1a\n" + bytes(100), name)
    with pytest.raises(UserError, match="HDF5 models can run code"):
        load_model_checked(path)


def test_page_under_the_name_of_a_model_is_refused(tmp_path: Path) -> None:
    path = _alone(tmp_path, b"<!doctype html><html></html>")
    with pytest.raises(UserError, match="it is an HTML page and no Keras model"):
        load_model_checked(path)


def test_lambda_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    inputs = keras.Input((*IMAGE_SIZE, 3))
    x = keras.layers.Lambda(lambda value, path=str(trap): (open(path, "w").close(), value)[1])(inputs)  # noqa: PTH123
    keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x))).save(tmp_path / "made.keras")
    trap.unlink()  # building the model ran it once
    path = _alone(tmp_path, (tmp_path / "made.keras").read_bytes())
    with pytest.raises(UserError, match=r"'Lambda' of 'keras\.layers', which no model made here does"):
        load_model_checked(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("module", "class_name"),
    [
        ("antigravity", "Flight"),
        ("keras.config", "enable_unsafe_deserialization"),
        ("keras.utils", "get_file"),
        ("keras.layers", "__lambda__"),
        ("keras.layers", "function"),
        ("kerasfake.layers", "Dense"),
        ("convnet.system.files", "link"),
    ],
)
def test_part_that_can_run_code_is_refused_and_not_imported(
    variant: Path, tmp_path: Path, module: str, class_name: str
) -> None:
    made = tmp_path / "made.keras"
    with zipfile.ZipFile(variant / "seed-1.keras") as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                configuration = json.loads(content)
                configuration["config"]["layers"][1] |= {"module": module, "class_name": class_name}
                content = json.dumps(configuration).encode()
            target.writestr(name, content)
    with pytest.raises(UserError, match=f"'{class_name}' of '{module}'"):
        load_model_checked(_alone(tmp_path, made.read_bytes()))


def test_model_of_other_classes_than_its_job_says_is_refused(tmp_path: Path) -> None:
    folder = write_variant(tmp_path / "baseline", ("blue", "green", "red"))
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(job | {"classes": ["blue", "green"]}))
    with pytest.raises(UserError, match=r"does not fit job\.json"):
        load_model_checked(folder / "seed-0.keras")


def test_job_of_another_shape_is_refused(variant: Path, tmp_path: Path) -> None:
    (tmp_path / "seed-1.keras").write_bytes((variant / "seed-1.keras").read_bytes())
    (tmp_path / "job.json").write_text('{"seeds": 3}')
    with pytest.raises(UserError, match="does not describe trained models"):
        load_model_checked(tmp_path / "seed-1.keras")
