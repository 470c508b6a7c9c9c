"""Chains of stages side by side: which stage belongs to which, on which cores, and what is left when one fails."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from itertools import dropwhile
from pathlib import Path

import pytest
from dvc.repo import Repo

from convnet.params.load import load_params
from convnet.pipeline import side_by_side
from convnet.pipeline.side_by_side import Chain, dataset_of, plan_chains, run_chains, split_cores
from helpers.clones import Clone
from helpers.tiny_run import start, write_tiny_params
from helpers.tiny_study import PROJECT

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system keeps no process to cores")

# Stands in for dvc: writes the cores it may use, and fails where it is told to.
STAND_IN = """
import os, sys, time
from pathlib import Path

name = sys.argv[-1]
Path(name).write_text(" ".join(map(str, sorted(os.sched_getaffinity(0)))))
print(f"this is {name}")
time.sleep(float(os.environ.get("STAND_IN_SECONDS", 0)))
sys.exit(name.startswith("failing"))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.py").write_text(STAND_IN)
    monkeypatch.setattr(side_by_side, "DVC", (sys.executable, "dvc.py"))


@pytest.mark.parametrize(
    ("stage", "dataset"),
    [
        ("split@pets", "pets"),
        ("train@pets-baseline", "pets"),
        ("train@pets-2-baseline", "pets-2"),
        ("train@other-pets", None),
        ("compare", None),
    ],
)
def test_stage_belongs_to_the_dataset_it_names(stage: str, dataset: str | None) -> None:
    assert dataset_of(stage, ["pets", "pets-2"]) == dataset


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC's own
def test_chains_hold_every_stage_of_their_dataset_after_what_it_depends_on() -> None:
    datasets = load_params(PROJECT / "params.yaml").run.datasets
    chains = plan_chains(PROJECT, datasets)
    assert [chain.dataset for chain in chains] == list(datasets)
    assert chains[0].stages[0] == f"backbone@{datasets[0]}"
    with Repo(str(PROJECT)) as repo:
        graph, stages = repo.index.graph, {stage.name: stage for stage in repo.index.stages}
        needed = {name: {other.name for other in graph.successors(stage)} for name, stage in stages.items()}
    for chain in chains:
        assert sorted(chain.stages) == sorted(name for name in stages if dataset_of(name, datasets) == chain.dataset)
        done = {side_by_side.SHARED}
        for name in chain.stages:
            assert needed[name] <= done, name
            done.add(name)


def test_every_core_belongs_to_one_chain() -> None:
    assert split_cores([0, 1, 2, 5, 7], 2) == [[0, 2, 7], [1, 5]]


@pytest.mark.usefixtures("stand_in")
def test_chain_is_kept_to_its_cores_and_this_process_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    assert run_chains([Chain("one", ["first"]), Chain("two", ["second"])], [[core]]) == []
    assert {Path(name).read_text() for name in ("first", "second")} == {str(core)}
    assert os.sched_getaffinity(0) == before
    assert capfd.readouterr().out.splitlines() == ["one | this is first", "two | this is second"]


@pytest.mark.usefixtures("stand_in")
def test_failing_chain_ends_alone() -> None:
    core = min(os.sched_getaffinity(0))
    assert run_chains([Chain("one", ["failing"]), Chain("two", ["other"])], [[core]]) == ["one"]
    assert Path("other").exists()


@pytest.mark.usefixtures("stand_in")
def test_chains_end_with_the_one_who_started_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_SECONDS", "100")

    def interrupt(_: float) -> None:
        if Path("endless").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(side_by_side.time, "sleep", interrupt)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_chains([Chain("one", ["endless"])], [sorted(os.sched_getaffinity(0))])
    assert time.monotonic() - begun < 50


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
def test_real_chains_leave_only_the_comparison_to_run(tmp_path: Path, clone_project: Callable[[Path], Clone]) -> None:
    clone = start(clone_project(tmp_path / "clone"))
    write_tiny_params(
        clone.path,
        {
            "run.datasets": ["pets", "hands"],
            "run.pixel_variants": ["baseline"],
            "run.seeds": [0],
            "sweep.enabled": False,
            "engine.threads_per_job": 1,
        },
    )
    done = clone.run(sys.executable, "-m", "convnet.pipeline.side_by_side")
    lines = done.stdout.splitlines()
    of_chains = list(dropwhile(lambda line: " | " not in line, lines))  # before: what all depend on, by itself
    assert "Running stage 'source_code':" in lines[: len(lines) - len(of_chains)]
    assert {line.partition(" | ")[0] for line in of_chains} == {"pets", "hands"}
    left = json.loads(clone.run("dvc", "status", "--json").stdout)
    assert set(left) == {"compare", "report"}


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
def test_failing_dataset_is_named_and_the_other_finishes(
    tmp_path: Path, clone_project: Callable[[Path], Clone]
) -> None:
    clone = start(clone_project(tmp_path / "clone"))
    shutil.rmtree(clone.path / "photos", ignore_errors=True)
    write_tiny_params(
        clone.path,
        {
            "run.datasets": ["pets", "hands"],
            "run.pixel_variants": ["baseline"],
            "run.feature_variants": [],
            "run.fine_tune_variants": [],
            "run.seeds": [0],
            "sweep.enabled": False,
            "engine.threads_per_job": 1,
            "datasets.pets.source": {"folder": "photos"},
        },
    )
    done = clone.run(sys.executable, "-m", "convnet.pipeline.side_by_side", check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: pets: not finished")
    assert "photos" in done.stdout
    assert (clone.path / "metrics" / "hands-baseline.json").is_file()
