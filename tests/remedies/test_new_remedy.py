"""A new remedy is one file and one line of params.yaml: it then runs through plan, training and evaluation."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import convnet
from helpers import tiny_study as tiny

TOY = '''"""Brighter images."""

import numpy as np

from convnet.params.remedies import Remedy
from convnet.params.section import Section


class Toy(Section):
    shift: float = 5.0


def _draw(settings, generator, images):
    return generator.random((images, 1)).astype(np.float32)


def _change(settings, batch, draws):
    import keras

    return batch._replace(images=batch.images + settings.shift * keras.ops.reshape(draws, (-1, 1, 1, 1)))


REMEDY = Remedy(
    sentence="Every image becomes a little brighter.", source="this test", settings=Toy,
    on_features="It needs pixels.", refuses_features=True, draws=_draw, batch=_change,
)
'''

TOY_DERIVED = '''"""The probabilities of the other order of classes."""

from convnet.params.remedies import Derived, Remedy
from convnet.params.section import Section


class Turned(Section):
    """It is on or off."""


def _turn(settings, models, predictions, generator):
    return Derived(models[0], {name: split.probabilities[:, ::-1] for name, split in predictions[0].items()}, 1)


REMEDY = Remedy(
    sentence="Every prediction is turned round.", source="this test", settings=Turned,
    on_features="It acts on predictions.", derived=_turn,
)
'''


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package, the toy remedy, and params.yaml with its line."""
    folder = tmp_path_factory.mktemp("toy")
    package = Path(convnet.__file__).parent
    shutil.copytree(package, folder / "src" / "convnet", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in (("toy", TOY), ("turned", TOY_DERIVED)):
        (folder / "src" / "convnet" / "remedies" / f"{name}.py").write_text(text)
    run = {"run.pixel_variants": ["baseline", "toy", "turned"], "variants.toy": {"toy": 40.0}}
    run["variants.turned"] = {"turned": True}
    tiny.write_params(folder, {**tiny.PIXELS_ONLY, **run, "training.epochs": 1, "engine.parallel_jobs": 1})
    tiny.write_arrays(folder / "arrays")
    return folder


def run_stage(folder: Path, stage: str, *arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, *tiny.stage_command(stage, *arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_plan_describes_it_for_the_report(study: Path) -> None:
    run_stage(study, "plan", "plans")
    (described,) = json.loads((study / "plans" / "tried.json").read_text())["tiny"]["toy"]
    assert described["sentence"] == "Every image becomes a little brighter."
    assert described["knobs"] == {"shift": 40.0}


def test_it_trains_and_is_evaluated(study: Path) -> None:
    run_stage(study, *tiny.TRAIN)
    run_stage(study, "evaluate", "arrays", "features", "models", "evaluations")
    found = {
        name: json.loads((study / "evaluations" / "variants" / f"{name}.json").read_text())
        for name in ("baseline", "toy", "turned")
    }
    right, turned = (found[name]["seeds"][0]["splits"]["test"]["accuracy"] for name in ("baseline", "turned"))
    assert turned == pytest.approx(1 - right)
    assert found["toy"]["recipe"]["remedies"] == {"toy": {"shift": 40.0}}
    digests = {
        name: json.loads((study / "models" / name / "job.json").read_text())["seeds"][0]["weights_digest"]
        for name in found
    }
    assert digests["toy"] != digests["baseline"]
