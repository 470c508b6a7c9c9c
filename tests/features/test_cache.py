"""Features in the job store: run once, mended where they are damaged, and views apart from the images themselves."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnet.features.cache import bring_features
from convnet.jobs.feature_plan import plan_features
from convnet.jobs.job import STORE
from convnet.params.schema import Params
from convnet.system.files import read_json
from helpers import tiny_study as tiny

tiny.start_keras()

VIEWS: dict[str, Any] = {"run.feature_variants": ["transfer", "transfer_augmented"], "transfer.augmented_views": 2}


@dataclass(frozen=True)
class Place:
    """A project's folder with arrays and a backbone."""

    folder: Path

    def params(self, changes: dict[str, Any] | None = None) -> Params:
        return tiny.params(self.folder, {"run.feature_variants": ["transfer"], **(changes or {})})

    def bring(self, changes: dict[str, Any] | None = None) -> Path:
        features = self.folder / "features"
        shutil.rmtree(features, ignore_errors=True)  # as dvc does before a stage
        params = self.params(changes)
        plan = plan_features(params, "tiny")
        bring_features(params, plan, self.folder / "arrays", self.folder / "backbone", features)
        return features


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    tiny.write_arrays(tmp_path / "arrays")
    tiny.write_backbone(tmp_path / "backbone")
    return Place(tmp_path)


def test_backbone_runs_once(place: Place) -> None:
    before = read_json(place.bring() / "timing.json")
    assert read_json(place.bring() / "timing.json") == before  # of the run that made them
    assert [path.name for path in place.folder.joinpath(STORE).glob("*.partial")] == []


def test_variant_with_views_adds_them_and_leaves_the_rest(place: Place) -> None:
    before = {path.name: path.read_bytes() for path in place.bring().iterdir()}
    features = place.bring(VIEWS)
    after = {path.name: path.read_bytes() for path in features.iterdir()}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"train_views.npy", "views.json", "views_timing.json"}
    images = read_json(features / "timing.json")["images"]
    assert images == sum(tiny.COUNTS.values())
    assert read_json(features / "views_timing.json")["images"] == 2 * tiny.COUNTS["train"]


@pytest.mark.parametrize("name", ["test.npy", "features.json"])
def test_damaged_features_are_made_anew(place: Place, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    features = place.bring()
    before = (features / name).read_bytes()
    with (features / name).open("r+b") as file:  # in place: the store's file has the same bytes
        file.truncate(len(before) // 2)
    assert (place.bring() / name).read_bytes() == before
    assert "is damaged: computing it again" in capsys.readouterr().err
    assert np.load(features / "test.npy").shape[0] == tiny.COUNTS["test"]
