"""The pipeline as users run it: the real dvc in a copy of the project, on a few tiny images."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from helpers.clones import Clone
from helpers.tiny_dataset import encoded, picture
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


def test_one_variant_goes_from_download_to_the_comparison(
    tmp_path: Path, clone_project: Callable[[Path], Clone]
) -> None:
    clone = start(clone_project(tmp_path / "clone"))
    write_tiny_params(clone.path, ONE_VARIANT)
    done = clone.run("dvc", "repro", "compare")
    of_dataset = {
        f"{stage}@pets" for stage in ("download", "split", "prepare", "features", "tune", "train", "evaluate")
    }
    assert set(_ran(done.stdout)) == of_dataset | {"source_code", "plan", "compare"}

    metrics = json.loads((clone.path / "metrics.json").read_text("utf-8"))
    assert 0 <= metrics["pets"]["baseline"]["accuracy"] <= 1
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
def test_changed_variant_trains_alone(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    change_params(clone.path, {"variants.half_dropped.dropout": 0.25})
    assert "variants.half_dropped.dropout" in clone.run("dvc", "params", "diff").stdout
    done = clone.run("dvc", "repro")
    assert sorted(_trained(done.stderr)) == ["pets/half_dropped seed 0", "pets/half_dropped seed 1"]
    of_models = {f"{stage}@pets" for stage in ("train", "evaluate", "look", "best")}
    assert {"plan", "train@pets", "evaluate@pets", "compare", "report"} <= set(_ran(done.stdout))
    assert set(_ran(done.stdout)) <= of_models | {"plan", "compare", "report"}
    # With the old value nothing trains: the old results are in the cache or in the job store.
    change_params(clone.path, {"variants.half_dropped.dropout": 0.5})
    assert not _trained(clone.run("dvc", "repro").stderr)
    assert not clone.run("git", "status", "--porcelain", "metrics.json", "reports/plots").stdout


@pytest.mark.slow
def test_changed_variant_trains_alone_where_only_dvcs_cache_is_left(finished: Clone, tmp_path: Path) -> None:
    # As in a clone after `dvc pull`: the job store does not travel.
    clone = copy_of(finished, tmp_path / "copy")
    shutil.rmtree(clone.path / ".jobs")
    change_params(clone.path, {"variants.half_dropped.dropout": 0.25})
    done = clone.run("dvc", "repro", "train")
    assert sorted(_trained(done.stderr)) == ["pets/half_dropped seed 0", "pets/half_dropped seed 1"]


@pytest.mark.slow
def test_added_seed_trains_its_own_jobs_only(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    change_params(clone.path, {"run.seeds": [0, 1, 2]})
    done = clone.run("dvc", "repro", "evaluate")
    assert sorted(_trained(done.stderr)) == [
        f"pets/{variant} seed 2" for variant in ("baseline", "fine_tune", "half_dropped", "transfer")
    ]
    path = clone.path / "data" / "evaluations" / "pets" / "variants" / "baseline.json"
    assert [run["seed"] for run in json.loads(path.read_text("utf-8"))["seeds"]] == [0, 1, 2]


@pytest.mark.slow
def test_metrics_show_names_every_variant(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    shown = json.loads(clone.run("dvc", "metrics", "show", "--json").stdout)
    files = shown[""]["data"] if "data" in shown.get("", {}) else shown
    for variant in ("baseline", "half_dropped", "transfer", "fine_tune"):
        numbers = files["metrics.json"]["data"]["pets"][variant]
        assert 0 <= numbers["accuracy"] <= 1
        assert len(numbers) <= 6


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
    clone.run("dvc", "config", "--local", "plots.html_template", "plots_page.html")
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
    assert [image for image in images if image.endswith("pets-feature_maps_baseline.jpg")]
    for image in images:
        assert (clone.path / "dvc_plots" / image).stat().st_size > 0
    assert "half_dropped" in page, "the numbers are in the page"


@pytest.mark.slow
def test_plots_diff_shows_both_sides_with_an_empty_cache(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    fresh = tmp_path / "fresh"
    clone.run("git", "clone", "--quiet", clone.path, fresh)
    other = dataclasses.replace(clone, path=fresh)
    table = fresh / "reports" / "plots" / "variants.csv"
    table.write_text(table.read_text("utf-8").replace("half_dropped", "renamed"), "utf-8")
    other.run("dvc", "plots", "diff", "HEAD")
    page = (fresh / "dvc_plots" / "index.html").read_text("utf-8")
    assert "half_dropped" in page
    assert "renamed" in page
    images = re.findall(r'<img src="(static/[^"]+)"', page)
    assert len([image for image in images if image.startswith("static/HEAD")]) >= 1
    assert len([image for image in images if image.startswith("static/workspace")]) >= 1


@pytest.mark.slow
def test_experiment_runs_another_dataset(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    one = [f"-S{key}={json.dumps(value).replace(' ', '')}" for key, value in ONE_VARIANT.items()]
    clone.run("dvc", "exp", "run", "--set-param", "run.datasets=[hands]", *one)
    verdict = json.loads((clone.path / "reports" / "tables" / "verdict.json").read_text("utf-8"))
    assert set(verdict) == {"hands"}
    assert names_in_reports(clone.path, ["pets"]) == []
    assert "run.datasets" in clone.run("dvc", "params", "diff").stdout
    assert "hands.baseline.accuracy" in clone.run("dvc", "exp", "show", "--csv").stdout


@pytest.mark.slow
def test_queue_of_all_jobs_gives_the_same_bytes_and_repro_then_trains_nothing(finished: Clone, tmp_path: Path) -> None:
    clone = copy_of(finished, tmp_path / "copy")
    before = (clone.path / "metrics.json").read_bytes()
    for folder in (".jobs", "data", "models", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(clone.path / folder)
    jobs = {f"pets/{v} seed {n}" for v in ("baseline", "half_dropped", "transfer", "fine_tune") for n in (0, 1)}
    jobs |= {f"pets/baseline seed {n} 50.0% of training" for n in (0, 1)}
    trained = _trained(clone.run(*TRAIN).stderr)
    assert sorted(trained) == sorted([*jobs, "source/backbone compact seed 0"])
    assert clone.run(*TRAIN, "--dry-run").stdout == ""
    done = clone.run("dvc", "repro")
    assert "train@pets" in _ran(done.stdout)
    assert not _trained(done.stderr)
    assert (clone.path / "metrics.json").read_bytes() == before


@pytest.mark.slow
def test_experiments_beside_the_workspace_take_its_finished_jobs(finished: Clone, tmp_path: Path) -> None:
    # DVC runs them in copies of the project, which have no job store.
    clone = copy_of(finished, tmp_path / "copy")
    pixels = ("-S", "run.feature_variants=[]", "-S", "run.fine_tune_variants=[]")
    third = (*pixels, "-S", "run.seeds=[0,1,2]", "train")
    done = clone.run("dvc", "exp", "run", "--temp", *third)
    assert sorted(_trained(done.stderr)) == ["pets/baseline seed 2", "pets/half_dropped seed 2"]
    # Two at once: the first finds all jobs, the second trains the changed ones.
    clone.run("dvc", "exp", "run", "--queue", "--name", "found", *third)
    changed = (*pixels, "-S", "variants.half_dropped.dropout=0.25", "train")
    clone.run("dvc", "exp", "run", "--queue", "--name", "trained", *changed)
    clone.run("dvc", "exp", "run", "--run-all", "--jobs", "2")
    logs = {name: clone.run("dvc", "queue", "logs", name).stdout for name in ("found", "trained")}
    assert _trained(logs["found"]) == []
    assert "were finished before" in logs["found"]
    assert sorted(_trained(logs["trained"])) == ["pets/half_dropped seed 0", "pets/half_dropped seed 1"]
    # And the workspace finds what they trained.
    change_params(clone.path, {"run.seeds": [0, 1, 2], "run.feature_variants": [], "run.fine_tune_variants": []})
    assert not _trained(clone.run("dvc", "repro", "train").stderr)


@pytest.mark.slow
def test_own_folder_in_the_project_is_read_by_experiments_beside_the_workspace(clone: Clone) -> None:
    for number, name in enumerate(("cat", "dog")):
        (clone.path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            (clone.path / "photos" / name / f"{i}.png").write_bytes(encoded(picture(100 * number + i)))
    write_tiny_params(clone.path)
    clone.run("python", "-m", "convnet.cli.main", "init", "photos")
    clone.run("git", "add", "params.yaml")  # and not the images
    clone.run("git", "commit", "--quiet", "--message", "photos")
    done = clone.run("dvc", "exp", "run", "--temp", "prepare")
    assert {"download@photos", "prepare@photos"} <= set(_ran(done.stdout))
    assert "photos" in clone.run("dvc", "exp", "show", "--csv").stdout


def _ran(output: str) -> list[str]:
    """Return the stages whose command dvc ran, in their order."""
    return re.findall(r"^Running stage '([^']+)'", output, re.MULTILINE)


def _trained(errors: str) -> list[str]:
    """Return the jobs that trained, as they ended."""
    return re.findall(r"^(?:\[\d+/\d+\] )?(.*): \d+ epochs in ", errors, re.MULTILINE)
