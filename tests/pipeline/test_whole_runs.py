"""The pipeline as users run it: the real dvc in a copy of the project, on a few tiny images."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from helpers.clones import Clone
from helpers.tiny_run import (
    TRAIN,
    change_params,
    copy_of,
    finished_pipeline,
    names_in_reports,
    start,
    write_tiny_params,
)

ONE_VARIANT = {
    "run.pixel_variants": ["baseline"],
    "run.feature_variants": [],
    "run.fine_tune_variants": [],
    "training.epochs": 1,
}
# The time between checkpoints changes no result.
WITHOUT_EFFECT = {"checkpoints"}
# A recipe opens with the sections of pixel variants: other variants replace both, and explain takes neither from it.
OVERRIDDEN = {name: {"network", "training"} for name in ("plan", "transfer", "fine_tune", "explain")}
# What a stage only checks: prepare refuses a batch larger than the training set, and writes the same arrays for others.
RECIPES = {"variants", "network", "training", "augmentation", "transfer", "fine_tune", "backbones", "sweep"}
CHECKED = {"prepare": {*RECIPES, "run", "run.pixel_variants", "run.feature_variants", "run.fine_tune_variants"}}


def test_one_variant_goes_from_download_to_the_comparison(
    tmp_path: Path, clone_project: Callable[[Path], Clone]
) -> None:
    clone = start(clone_project(tmp_path / "clone"))
    write_tiny_params(clone.path, ONE_VARIANT)
    done = clone.run("dvc", "repro", "compare")
    expected = {f"{stage}@pets" for stage in ("download", "split", "prepare", "trivial")}
    others = {"source_code", "train@pets-baseline", "evaluate@pets-baseline", "compare"}
    assert set(_ran(done.stdout)) == expected | others

    metrics = json.loads((clone.path / "metrics" / "pets-baseline.json").read_text("utf-8"))
    assert 0 <= metrics["test"]["accuracy"] <= 1
    verdict = json.loads((clone.path / "reports" / "tables" / "verdict.json").read_text("utf-8"))
    assert set(verdict) == {"pets"}

    again = clone.run("dvc", "repro", "compare")
    assert not _ran(again.stdout)
    assert "up to date" in again.stdout
    assert "up to date" in clone.run("dvc", "status", "compare").stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, clone_project: Callable[[Path], Clone]) -> Clone:
    """A copy of the project in which the whole pipeline has run."""
    return finished_pipeline(tmp_path_factory, clone_project)


@pytest.mark.slow
def test_second_run_does_nothing(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    again = clone.run("dvc", "repro")
    assert not _ran(again.stdout)
    stages = set(clone.run("dvc", "stage", "list", "--name-only").stdout.split())
    assert set(re.findall(r"^Stage '([^']+)' didn't change, skipping$", again.stdout, re.MULTILINE)) == stages
    assert "up to date" in clone.run("dvc", "status").stdout
    assert not clone.run("git", "status", "--porcelain").stdout


@pytest.mark.slow
def test_every_setting_that_a_stage_reads_is_among_its_params(finished: Clone) -> None:
    read = {path.name: set(path.read_text("utf-8").split()) for path in (finished.path.parent / "read").iterdir()}
    assert {"download", "split", "prepare", "train", "features", "transfer", "fine_tune"} <= set(read)
    assert {"network", "training", "run.seeds"} <= read["train"]
    missing = []
    for name, stage in yaml.safe_load((finished.path / "dvc.yaml").read_text("utf-8"))["stages"].items():
        params = stage.get("params", [])
        without_effect = WITHOUT_EFFECT | OVERRIDDEN.get(name, set()) | CHECKED.get(name, set())
        for key in read.get(name, set()) - without_effect:
            # A key is covered by itself or a section that holds it; a section, also by the keys of it that are read.
            if not any(key == p or key.startswith(f"{p}.") or p.startswith(f"{key}.") for p in params):
                missing.append(f"{name}: {key}")
    assert not sorted(missing)


@pytest.mark.slow
def test_changed_variant_trains_alone(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    change_params(clone.path, {"variants.half_dropped.dropout": 0.25})
    assert "variants.half_dropped.dropout" in clone.run("dvc", "params", "diff").stdout
    done = clone.run("dvc", "repro")
    assert sorted(_trained(done.stderr)) == ["pets/half_dropped seed 0", "pets/half_dropped seed 1"]
    trained = {"train@pets-half_dropped", "evaluate@pets-half_dropped"}
    of_all_models = {"robustness@pets", "explain@pets", "best@pets", "compare", "report"}
    cheap = {"plan@pets", "sweep@pets"}  # they look at all variants, and write what they wrote before
    assert {*trained, "compare", "report"} <= set(_ran(done.stdout)) <= trained | of_all_models | cheap
    # With the old value nothing trains: DVC takes the old results from its cache.
    change_params(clone.path, {"variants.half_dropped.dropout": 0.5})
    assert not _trained(clone.run("dvc", "repro").stderr)
    assert not clone.run("git", "status", "--porcelain", "metrics").stdout


@pytest.mark.slow
def test_added_seed_trains_its_own_jobs_only(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    change_params(clone.path, {"run.seeds": [0, 1, 2]})
    done = clone.run("dvc", "repro", "evaluate", "evaluate_transfer", "evaluate_fine_tune")
    ran = [name for name in _ran(done.stdout) if name.startswith(("train", "transfer", "fine_tune"))]
    assert sorted(ran) == ["fine_tune@pets-fine_tune", "train@pets-baseline", "train@pets-half_dropped",
                           "transfer@pets-transfer"]  # fmt: skip
    assert done.stderr.count("2 of 3 jobs were finished before") == len(ran)
    assert _trained(done.stderr)
    assert all(" seed 2" in job for job in _trained(done.stderr))
    metrics = json.loads((clone.path / "metrics" / "pets-baseline.json").read_text("utf-8"))
    assert metrics["seeds"] in (3, [0, 1, 2])


@pytest.mark.slow
def test_metrics_show_names_every_variant(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    shown = json.loads(clone.run("dvc", "metrics", "show", "--json").stdout)
    files = shown[""]["data"] if "data" in shown.get("", {}) else shown
    for variant in ("baseline", "half_dropped", "transfer", "fine_tune"):
        assert 0 <= files[f"metrics/pets-{variant}.json"]["data"]["test"]["accuracy"] <= 1


class _Links(HTMLParser):
    """Collects everything that a page would load or lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "data", "action", "srcset"}]


@pytest.mark.slow
def test_plots_page_needs_no_network(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    if not (clone.path / ".dvc" / "plots_page.html").exists():  # made by make
        clone.run("python", "-m", "convnet.pipeline.plots_page", ".dvc/plots_page.html")
    clone.run("dvc", "plots", "show")
    page = (clone.path / "dvc_plots" / "index.html").read_text("utf-8")
    links = _Links()
    links.feed(page)
    assert not [link for link in links.found if re.match(r"(https?:)?//", link)]
    assert not re.search(r"@import|\bimport\s*\(\s*['\"]https?:|importScripts\(\s*['\"]http", page)
    plots = yaml.safe_load((clone.path / "dvc.yaml").read_text("utf-8"))["plots"]
    of_numbers = [next(iter(plot)) for plot in plots if isinstance(plot, dict)]
    assert 0 < len(of_numbers) < len(plots)
    assert page.count("vegaEmbed(") >= len(of_numbers)
    for name in of_numbers:
        assert f'id = "{name.replace(" ", "_")}"' in page
    images = re.findall(r'<img src="(static/[^"]+)"', page)
    for name in ("baseline", "half_dropped", "the_frozen_backbone", "fine_tune"):
        assert [image for image in images if image.endswith(f"pets_plots_feature_maps_{name}.png")], name
    for image in images:
        assert (clone.path / "dvc_plots" / image).stat().st_size > 0
    assert "half_dropped" in page, "the numbers are in the page"


@pytest.mark.slow
def test_experiment_runs_another_dataset(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    one = [f"-S{key}={json.dumps(value).replace(' ', '')}" for key, value in ONE_VARIANT.items()]
    clone.run("dvc", "exp", "run", "--set-param", "run.datasets=[hands]", *one)
    verdict = json.loads((clone.path / "reports" / "tables" / "verdict.json").read_text("utf-8"))
    assert set(verdict) == {"hands"}
    assert names_in_reports(clone.path, ["pets"]) == []
    assert "run.datasets" in clone.run("dvc", "params", "diff").stdout
    assert "hands-baseline" in clone.run("dvc", "exp", "show", "--csv").stdout


@pytest.mark.slow
def test_queue_of_all_jobs_gives_the_same_bytes_and_repro_then_trains_nothing(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in (clone.path / "metrics").iterdir()}
    assert len(before) == 4
    for folder in (".jobs", "data", "models", "metrics", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(clone.path / folder)
    jobs = {f"pets/{v} seed {n}" for v in ("baseline", "half_dropped", "transfer", "fine_tune") for n in (0, 1)}
    jobs |= {f"pets/baseline seed {n} 50.0% of training" for n in (0, 1)}
    trained = _trained(clone.run(*TRAIN).stderr)
    assert sorted(trained) == sorted([*jobs, "source/backbone compact seed 0"])
    assert clone.run(*TRAIN, "--dry-run").stdout == ""
    done = clone.run("dvc", "repro")
    assert {"train@pets-baseline", "transfer@pets-transfer", "fine_tune@pets-fine_tune"} <= set(_ran(done.stdout))
    assert not _trained(done.stderr)
    assert {path.name: path.read_bytes() for path in (clone.path / "metrics").iterdir()} == before


def _ran(output: str) -> list[str]:
    """Return the stages whose command dvc ran, in their order."""
    return re.findall(r"^Running stage '([^']+)'", output, re.MULTILINE)


def _trained(errors: str) -> list[str]:
    """Return the jobs that trained, as they ended."""
    return re.findall(r"^(?:\[\d+/\d+\] )?(.*): \d+ epochs in ", errors, re.MULTILINE)
