import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_study import start_keras

start_keras()

import keras  # noqa: E402

from convnet.data.archives import open_archive  # noqa: E402
from convnet.data.class_folders import read_layout  # noqa: E402
from convnet.data.decoding import load_image  # noqa: E402
from convnet.data.packing import pack_folder  # noqa: E402
from convnet.evaluation.calibration import apply_temperature, fit_temperature  # noqa: E402
from convnet.inference.evaluate_folder import evaluate_labelled, evaluation_text  # noqa: E402
from convnet.inference.predict import Counts, predict_files  # noqa: E402
from convnet.jobs.predictions import Prediction, load_predictions, save_predictions  # noqa: E402
from convnet.models.heads import as_probabilities  # noqa: E402
from convnet.params.data import GroupSource, LabelSource, ReadAs  # noqa: E402
from convnet.system.errors import UserError  # noqa: E402
from helpers.saved_variant import IMAGE_SIZE, write_variant  # noqa: E402
from helpers.tiny_dataset import encoded, picture, write_archive  # noqa: E402

CLASSES = ("blue", "green", "red")
ODD_NAMES = [
    "Bäume.png",
    "with space.png",
    'quo"te.png',
    "it's.png",
    "new\nline.png",
    "a,b;c.png",
    "=1+1.png",
    "100%.png",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_variant(tmp_path_factory.mktemp("models") / "baseline", CLASSES) / "seed-0.keras"


def expected(model: Path, contents: Sequence[bytes]) -> np.ndarray:
    """What Keras says itself of images decoded as for training."""
    images = np.stack([load_image(content, "a.png", IMAGE_SIZE) for content in contents])
    return as_probabilities(keras.saving.load_model(model).predict(images, verbose=0))


def json_rows(model: Path, *paths: Path, calibrated: bool = False) -> list[dict]:
    return [json.loads(line) for line in predict_files(model, paths, calibrated, "jsonl", Counts())]


def csv_rows(model: Path, *paths: Path) -> list[dict[str, str]]:
    text = "".join(predict_files(model, paths, False, "csv", Counts()))
    return list(csv.DictReader(io.StringIO(text, newline="")))


def probabilities(rows: list[dict]) -> np.ndarray:
    return np.array([list(row["probabilities"].values()) for row in rows])


def write_pictures(folder: Path, names: Sequence[str]) -> list[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    contents = [encoded(picture(seed)) for seed in range(len(names))]
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    return contents


def test_files_get_the_probabilities_of_the_model(model: Path, tmp_path: Path) -> None:
    contents = write_pictures(tmp_path, ["c.png", "a.png", "b.png"])
    rows = json_rows(model, tmp_path / "c.png", tmp_path / "a.png", tmp_path / "b.png")
    wanted = expected(model, contents)
    np.testing.assert_allclose(probabilities(rows), wanted, atol=1e-6)
    assert [row["class"] for row in rows] == [CLASSES[i] for i in wanted.argmax(axis=1)]
    assert len({row["class"] for row in rows}) > 1, "the model must tell these images apart"
    assert [row["path"] for row in rows] == [str(tmp_path / name) for name in ("c.png", "a.png", "b.png")]
    assert all(row["error"] is None and row["member"] is None for row in rows)


def test_sigmoid_gives_both_classes(tmp_path: Path) -> None:
    model = write_variant(tmp_path / "two") / "seed-0.keras"
    contents = write_pictures(tmp_path / "pictures", ["a.png", "b.png"])
    rows = json_rows(model, tmp_path / "pictures")
    assert list(rows[0]["probabilities"]) == ["blue", "green"]
    np.testing.assert_allclose(probabilities(rows), expected(model, contents), atol=1e-6)


def test_folder_is_walked_in_order_without_hidden_files_and_read_me(model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in" / "deeper", ["z.png", "without_suffix"])
    write_pictures(tmp_path / "in", ["y.png", ".hidden.png"])
    (tmp_path / "in" / "README.txt").write_text("holiday")
    counts = Counts()
    lines = list(predict_files(model, [tmp_path / "in"], False, "jsonl", counts))
    found = [os.path.relpath(json.loads(line)["path"], tmp_path / "in") for line in lines]
    assert found == ["deeper/without_suffix", "deeper/z.png", "y.png"]
    assert counts == Counts(predicted=3, bad=0, left_out=1, unusual=3)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archive_is_read_in_place(model: Path, tmp_path: Path, kind: str) -> None:
    contents = {f"cats/{seed}.png": encoded(picture(seed)) for seed in range(3)}
    write_archive(tmp_path / f"images.{kind}", contents | {"notes.txt": b"none"})
    rows = json_rows(model, tmp_path / f"images.{kind}")
    assert [row["member"] for row in rows] == list(contents)
    np.testing.assert_allclose(probabilities(rows), expected(model, list(contents.values())), atol=1e-6)


def test_bad_files_get_a_row_with_the_reason_and_the_others_are_predicted(model: Path, tmp_path: Path) -> None:
    good = write_pictures(tmp_path, ["good.png"])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.png").write_bytes(good[0][:-100])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    rows = {Path(row["path"]).name: row for row in csv_rows(model, tmp_path)}
    assert rows["good.png"]["error"] == ""
    assert rows["good.png"]["class"] in CLASSES
    reasons = {name: row["error"] for name, row in rows.items() if row["error"]}
    assert set(reasons) == {"empty.jpg", "cut.png", "text.jpg", "photo.heic"}
    assert reasons["empty.jpg"] == "empty file"
    assert "truncated" in reasons["cut.png"]
    assert "HEIC" in reasons["photo.heic"]
    assert all(rows[name]["class"] == rows[name]["probability_red"] == "" for name in reasons)


def test_damaged_archive_costs_a_row(model: Path, tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"a.png": encoded(picture(0))})
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-30])
    write_pictures(tmp_path, ["b.png"])
    damaged, good = json_rows(model, tmp_path / "a.zip", tmp_path / "b.png")
    assert "damaged or cut off" in damaged["error"]
    assert good["class"] in CLASSES


def test_odd_names_survive_in_json(model: Path, tmp_path: Path) -> None:
    names = [*ODD_NAMES, os.fsdecode(b"latin-\xe9.png")]
    write_pictures(tmp_path, names)
    assert {Path(row["path"]).name for row in json_rows(model, tmp_path)} == set(names)


def test_odd_names_keep_one_line_each_in_csv_and_start_no_formula(model: Path, tmp_path: Path, monkeypatch) -> None:
    write_pictures(tmp_path, [*ODD_NAMES, os.fsdecode(b"latin-\xe9.png")])
    monkeypatch.chdir(tmp_path)
    text = "".join(predict_files(model, [Path(name) for name in ODD_NAMES], False, "csv", Counts()))
    assert len(text.splitlines()) == len(ODD_NAMES) + 1
    paths = [row["path"] for row in csv.DictReader(io.StringIO(text))]
    assert paths == [{"=1+1.png": "'=1+1.png", "new\nline.png": "new\\nline.png"}.get(n, n) for n in ODD_NAMES]


def test_class_name_that_is_a_formula_is_made_safe(tmp_path: Path) -> None:
    model = write_variant(tmp_path / "odd", ("=cmd", "@sum")) / "seed-0.keras"
    write_pictures(tmp_path / "in", ["a.png"])
    (row,) = csv_rows(model, tmp_path / "in")
    assert row["class"] in ("'=cmd", "'@sum")
    assert "probability_=cmd" in row


def test_picture_named_twice_has_one_row(model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png"])
    assert len(json_rows(model, tmp_path, tmp_path / "a.png")) == 1


def test_calibrated_applies_the_temperature_of_the_validation_split(model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.png"])
    validation = load_predictions(model.parent / "predictions.npz")[0]["validation"]
    temperature = fit_temperature(validation.probabilities, validation.labels)
    assert temperature > 1.5, "these predictions are too sure of themselves"
    plain = probabilities(json_rows(model, tmp_path))
    scaled = probabilities(json_rows(model, tmp_path, calibrated=True))
    np.testing.assert_allclose(scaled, apply_temperature(plain, temperature), atol=1e-4)


@pytest.mark.parametrize("calibrated", [False, True])
def test_image_less_sure_than_validation_is_marked(tmp_path: Path, calibrated: bool) -> None:
    folder = write_variant(tmp_path / "models", CLASSES)
    path = folder / "seed-0.keras"
    write_pictures(tmp_path / "in", [f"{number}.png" for number in range(30)])
    low = float(np.median(probabilities(json_rows(path, tmp_path / "in")).max(axis=1)))
    validation = np.full((200, 3), 0.0005, np.float32)
    validation[:, 0] = 0.999
    validation[:3] = [low, (1 - low) / 2, (1 - low) / 2]
    labels = np.array([1, *np.zeros(199)], np.int64)
    save_predictions(folder / "predictions.npz", {0: {"validation": Prediction(validation, labels, np.arange(200))}})
    counts = Counts()
    rows = [json.loads(line) for line in predict_files(path, [tmp_path / "in"], calibrated, "jsonl", counts)]
    temperature = fit_temperature(validation, labels) if calibrated else 1.0
    least = np.sort(apply_temperature(validation, temperature).max(axis=1))[1]  # of 200; one may be less sure
    marked = [row["note"] is not None for row in rows]
    assert marked == [value < least for value in probabilities(rows).max(axis=1)]
    assert 5 < sum(marked) == counts.unusual < 25
    assert {row["note"] for row in csv_rows(path, tmp_path / "in")} == {
        "", "less sure than on 99% of the validation images"
    }  # fmt: skip


def test_model_without_predictions_marks_nothing(model: Path, tmp_path: Path) -> None:
    folder = write_variant(tmp_path / "models", CLASSES)
    (folder / "predictions.npz").unlink()
    write_pictures(tmp_path / "in", ["a.png"])
    assert [row["note"] for row in json_rows(folder / "seed-0.keras", tmp_path / "in")] == [None]


def test_calibrated_without_predictions_says_what_is_missing(tmp_path: Path) -> None:
    folder = write_variant(tmp_path / "two")
    (folder / "predictions.npz").unlink()
    write_pictures(tmp_path / "in", ["a.png"])
    with pytest.raises(UserError, match=r"predictions\.npz is missing"):
        json_rows(folder / "seed-0.keras", tmp_path / "in", calibrated=True)


def test_missing_path_is_refused_before_anything_is_read(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a file nor a folder"):
        json_rows(model, tmp_path / "nothing")


def write_labelled(folder: Path, model: Path, count: int = 12) -> list[str]:
    """Sort images into the folders of the classes that the model takes them for; return these classes."""
    contents = [encoded(picture(seed)) for seed in range(count)]
    said = [CLASSES[i] for i in expected(model, contents).argmax(axis=1)]
    for seed, (name, content) in enumerate(zip(said, contents, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{seed}.png").write_bytes(content)
    return said


def test_labelled_pictures_give_accuracy_interval_and_confusion(model: Path, tmp_path: Path) -> None:
    said = write_labelled(tmp_path / "in", model)
    first = tmp_path / "in" / said[0] / "0.png"
    other = CLASSES[(CLASSES.index(said[0]) + 1) % 3]
    (tmp_path / "in" / other).mkdir(exist_ok=True)
    first.rename(tmp_path / "in" / other / "wrong.png")
    (tmp_path / "in" / other / "bad.png").write_text("no image")
    result = evaluate_labelled(model, tmp_path / "in", None, False)
    assert (result["n"], result["accuracy"]) == (12, pytest.approx(11 / 12))
    # Wilson's formula worked out by hand: 0.8156 -+ 0.1695
    assert result["accuracy_interval"] == pytest.approx([0.6461, 0.9851], abs=1e-4)
    confusion = np.array(result["confusion"])
    assert confusion.sum() == 12
    assert confusion[CLASSES.index(other), CLASSES.index(said[0])] == 1
    assert [entry["reason"] for entry in result["rejected"]] == ["text file, not an image"]
    text = evaluation_text(result)
    assert "accuracy 91.7 % (95 % interval 64.6 to 98.5 %)" in text
    assert "1 files could not be used" in text


def test_labelled_archive_gives_the_same_numbers_as_the_folder(model: Path, tmp_path: Path) -> None:
    write_labelled(tmp_path / "in", model)
    files = {str(f.relative_to(tmp_path)): f.read_bytes() for f in sorted((tmp_path / "in").rglob("*.png"))}
    write_archive(tmp_path / "in.zip", files)
    folder = evaluate_labelled(model, tmp_path / "in", None, False)
    assert evaluate_labelled(model, tmp_path / "in.zip", None, False) == folder


def test_odd_names_of_classes_and_pictures_are_those_that_training_gave(tmp_path: Path) -> None:
    """Training packs the folder, and packing escapes what no archive can hold."""
    folders = [os.fsdecode(b"caf\xe9"), "back\\slash"]
    for number, name in enumerate(folders):
        write_pictures(tmp_path / "in" / name, [f"{number}.png", *ODD_NAMES, os.fsdecode(b"latin-\xe9.png")])
        (tmp_path / "in" / name / os.fsdecode(b"bad-\xe9.png")).write_text("no image")
    pack_folder(tmp_path / "in", tmp_path / "packed.zip")
    with open_archive(tmp_path / "packed.zip") as archive:
        classes = tuple(sorted({image.class_name for image in read_layout(archive.members()).images}))
    assert classes == ("back%5Cslash", "caf%E9")
    model = write_variant(tmp_path / "odd", classes) / "seed-0.keras"
    result = evaluate_labelled(model, tmp_path / "in", None, False)
    assert result["n"] == 20
    assert evaluation_text(result).replace("\n", "").isprintable()
    packed = evaluate_labelled(model, tmp_path / "packed.zip", None, False)
    assert packed | {"rejected": []} == result | {"rejected": []}  # there, the image is named as packed


def test_unknown_class_is_named(model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in" / "blue", ["a.png"])
    write_pictures(tmp_path / "in" / "purple", ["b.png"])
    with pytest.raises(UserError, match="class 'purple', but the model knows only blue, green, red"):
        evaluate_labelled(model, tmp_path / "in", None, False)


def test_divided_folder_asks_for_a_split_and_takes_it(model: Path, tmp_path: Path) -> None:
    write_labelled(tmp_path / "in" / "train", model)
    write_labelled(tmp_path / "in" / "test", model, count=4)
    with pytest.raises(UserError, match="divided into test, train: choose one with --split"):
        evaluate_labelled(model, tmp_path / "in", None, False)
    assert evaluate_labelled(model, tmp_path / "in", "test", False)["n"] == 4


def test_folder_without_classes_is_refused(model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", ["a.png"])
    with pytest.raises(UserError, match="no class folders with images"):
        evaluate_labelled(model, tmp_path / "in", None, False)


def test_labels_in_file_names_are_proposed_and_read(model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", [f"{name}.{n}.png" for name in ("red", "blue") for n in range(3)])
    with pytest.raises(UserError, match=r"labels blue \(3\), red \(3\): add --label-from-name '\{label\}\.\{number\}'"):
        evaluate_labelled(model, tmp_path / "in", None, False)
    by_name = ReadAs(labels=LabelSource(from_name="{label}.{number}"))
    result = evaluate_labelled(model, tmp_path / "in", None, False, by_name)
    assert np.array(result["confusion"]).sum(axis=1).tolist() == [3, 0, 3]


@pytest.mark.parametrize("packed", [False, True])
def test_table_gives_the_labels_and_its_faults_are_printed(model: Path, tmp_path: Path, packed: bool) -> None:
    write_pictures(tmp_path / "in", [f"{n}.png" for n in range(6)])
    (tmp_path / "t.csv").write_text("id,colour,split\n0,red,test\n1,blue,test\n2,red,test\n3,red,train\n9,red,test\n")
    images = tmp_path / "in"
    if packed:
        images = tmp_path / "in.zip"
        write_archive(images, {f.name: f.read_bytes() for f in sorted((tmp_path / "in").iterdir())})
    table = LabelSource(table=str(tmp_path / "t.csv"), file_column="id", label_column="colour", suffix=".png")
    result = evaluate_labelled(model, images, "test", False, ReadAs(labels=table))
    assert np.array(result["confusion"]).sum(axis=1).tolist() == [1, 0, 2]
    assert result["notes"] == [
        "1 files of the table are missing, the first is '9.png'",
        "2 files are not in the table, the first is '4.png'",
    ]
    assert result["notes"][0] in evaluation_text(result)


def test_refused_folders_are_read_with_the_options_that_the_sentence_names(model: Path, tmp_path: Path) -> None:
    for scene in ("a", "b", "c"):
        for name in ("red", "blue"):
            write_pictures(tmp_path / "in" / scene / name, ["1.png"])
    with pytest.raises(UserError, match="--group-by-folder"):
        evaluate_labelled(model, tmp_path / "in", None, False)
    outer = ReadAs(groups=GroupSource(by_folder=True))
    assert evaluate_labelled(model, tmp_path / "in", None, False, outer)["n"] == 6
    ignored = ReadAs(groups=GroupSource(by_folder=True), ignore=("a",))
    assert evaluate_labelled(model, tmp_path / "in", None, False, ignored)["n"] == 4


def test_pixel_limit_of_the_option_holds(model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in" / "red", ["1.png"])
    (tmp_path / "in" / "red" / "large.png").write_bytes(encoded(picture(7, (100, 90))))
    result = evaluate_labelled(model, tmp_path / "in", None, False, maximum_pixels=8000)
    assert [entry["reason"] for entry in result["rejected"]] == ["9,000 pixels, more than images.maximum_pixels, 8,000"]
