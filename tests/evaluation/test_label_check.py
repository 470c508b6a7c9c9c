from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from convnet.data.label_tables import read_table, write_table
from convnet.data.manifest import COLUMNS
from convnet.data.splits import SPLITS
from convnet.evaluation import label_check, of_data
from convnet.evaluation.label_check import NO_FEATURES
from convnet.evaluation.mislabelled import Judged, judge
from convnet.evaluation.schema import LabelCheck, Pair
from convnet.jobs import store
from convnet.params.data import LabelSource
from convnet.report.tables import suggested_labels_table
from convnet.system.csv_tables import write_csv
from convnet.system.files import write_json

ENDS = {"train": 120, "validation": 160, "test": 200}
WRONG = (3, 126, 190)  # rows with the other label


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Digits 0 and 1 as a dataset whose features are the pixels, with three wrong labels and one pair of copies."""
    monkeypatch.setattr(store, "STORE", tmp_path / "jobs")
    digits, truth = load_digits(n_class=2, return_X_y=True)
    digits, labels = digits[:200], truth[:200].copy()
    labels[list(WRONG)] = 1 - labels[list(WRONG)]
    digits[131] = digits[130]
    names = [f"=zero and one/{row:03}.png" for row in range(len(labels))]
    splits = np.repeat(SPLITS, np.diff([0, *ENDS.values()]))
    rows = pd.DataFrame({name: [kind()] * len(labels) for name, kind in COLUMNS.items()})
    rows = rows.assign(archive="a.zip", member=names, split=splits, group=range(len(labels)), verdict="accepted")
    rows["class"] = np.array(["nought", "one"])[labels]
    rows["official_split"] = np.where(splits == "test", "test", "")
    rows.loc[131, "group"] = 130  # a copy of an image, under the other label
    rows.loc[131, "class"] = "one" if rows.loc[130, "class"] == "nought" else "nought"
    write_csv(tmp_path / "s" / "digits.csv", rows)
    pair = [names[130], names[131]]
    write_json(tmp_path / "s" / "digits.summary.json", {"duplicates": {"two_labels": [pair]}})
    arrays, features = tmp_path / "arrays", tmp_path / "features"
    counts = {split: int((splits == split).sum()) for split in SPLITS}
    described = {"dataset": "digits", "classes": ["nought", "one"], "image_size": [8, 8], "counts": counts}
    write_json(arrays / "dataset.json", described | {"digest": "0"})
    features.mkdir()
    for split in SPLITS:
        part = rows[rows["split"] == split]
        (arrays / split).mkdir()
        write_json(arrays / split / "members.json", part["member"].tolist())
        np.save(arrays / split / "images.npy", np.zeros((len(part), 8, 8, 3), np.uint8))
        np.save(arrays / split / "labels.npy", (part["class"] == "one").to_numpy().astype(np.int64))
        np.save(arrays / split / "groups.npy", part["group"].to_numpy())
        np.save(features / f"{split}.npy", digits[part.index].reshape(-1, 8, 8, 1).astype(np.float16))
    write_json(features / "features.json", {"files": {}, "digest": "1"})
    return tmp_path


def check(study: Path) -> LabelCheck:
    files = [study / "s" / name for name in ("digits.csv", "digits.summary.json")]
    return LabelCheck.model_validate(of_data.checked_labels(study / "arrays", study / "features", *files))


def test_wrong_labels_of_every_split_are_found_with_their_row_of_a_label_table(study: Path) -> None:
    found = check(study)
    assert found.images == 200
    suspects = {image.file: image for image in found.suspects}
    truth = load_digits(n_class=2, return_X_y=True)[1]
    for row in WRONG:
        image = suspects[f"=zero and one/{row:03}.png"]
        assert image.given == ("one", "nought")[truth[row]]
        assert image.suggested == ("nought", "one")[truth[row]]
        assert image.split == next(split for split, end in ENDS.items() if row < end)
        assert image.probability_given < 0.5 < image.probability_suggested
    assert len(suspects) <= len(WRONG) + 2


def test_suggestions_have_the_form_of_the_table_of_all_labels(study: Path) -> None:
    """A user pastes their lines over those of the same files, which a spreadsheet must not take for formulas."""
    suggestions, whole = study / "suggested.csv", study / "labels.csv"
    found = check(study)
    write_csv(suggestions, suggested_labels_table(found))
    rows = pd.read_csv(study / "s" / "digits.csv", dtype=str, keep_default_na=False)
    write_table(whole, rows.assign(member=[f"=zero and one/{row:03}.png" for row in range(200)]))
    header, *lines = suggestions.read_text("utf-8").splitlines()
    all_header, *all_lines = whole.read_text("utf-8").splitlines()
    assert header == all_header == "file,label,split"
    assert len(lines) == len(found.suspects) > 0
    assert {line.split(",")[0] for line in lines} < {line.split(",")[0] for line in all_lines}
    settings = LabelSource(table="labels.csv")
    present = {row.file: row for row in read_table(whole, settings).rows}
    for row in read_table(suggestions, settings).rows:
        assert row.label != present[row.file].label
        assert row.split == present[row.file].split


def test_copies_under_two_labels_are_named(study: Path) -> None:
    expected = Pair(
        files=["=zero and one/130.png", "=zero and one/131.png"],
        labels=check(study).two_labels[0].labels,
        used=True,
    )
    assert check(study).two_labels == [expected]
    assert sorted(expected.labels) == ["nought", "one"]


def test_second_check_comes_from_the_store(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = check(study)
    monkeypatch.setattr(label_check, "check_labels", None)
    assert check(study) == first


def test_dataset_without_features_names_the_reason_and_keeps_its_copies(study: Path) -> None:
    write_json(study / "features" / "features.json", {"needed": False})
    found = check(study)
    assert (found.unknown, found.suspects, len(found.two_labels)) == (NO_FEATURES, [], 1)


def test_large_features_are_averaged_over_places(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(values: Any, *rest: Any) -> Judged:
        seen.append(values.shape)
        return judge(values, *rest)

    monkeypatch.setattr(label_check, "judge", watched)
    check(study)
    monkeypatch.setattr(label_check, "MOST_VALUES", 63)
    write_json(study / "features" / "features.json", {"files": {}, "digest": "2"})
    check(study)
    assert seen == [(200, 64), (200, 1)]
