"""A real cluster of two machines' worth of Ray on this one, with a driver in a process of its own."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnet.jobs.job import STORE
from convnet.jobs.predictions import load_predictions
from convnet.system.files import read_json
from helpers.tiny_study import PROJECT, environment, write_arrays, write_params

pytest.importorskip("ray", reason="the extra [ray] is not installed")

pytestmark = [
    pytest.mark.slow,
    # Ray's own, about files and sockets that its processes leave to the end of the interpreter.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]

VARIANTS = {
    "variants.long": {"epochs": 60},  # long enough to be hit by a kill
    "variants.impossible": {"epochs": 3},  # its batches are too large, as the driver has it
    "run.pixel_variants": ["baseline", "long", "impossible"],
    "engine.threads_per_job": 1,
    "engine.cpus_per_job": 1,
}
DRIVER = """
import sys
from dataclasses import replace
from pathlib import Path
from convnet.engine.run import run_jobs
from convnet.system.errors import command
from convnet.params.load import load_params
from convnet.jobs.planning import plan_jobs

def plan(params, variant):
    jobs = plan_jobs(params, variant, Path("arrays"))
    if variant != "impossible":
        return jobs
    # Planned with such a batch it would be refused before; so it is one that only the job finds too large.
    recipe = jobs[0].recipe
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"batch_size": 1000})})
    return [replace(job, recipe=recipe) for job in jobs]

@command
def main():
    params = load_params()
    run_jobs([job for variant in sys.argv[1:] for job in plan(params, variant)], params)

if __name__ == "__main__":  # the local engine's processes import this file
    main()
"""


@dataclass
class Machines:
    """A cluster whose machines each have one core and a cache of their own."""

    folder: Path
    cluster: Any
    nodes: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, **variables: str) -> None:
        """Start a machine with the given environment variables."""
        before = dict(os.environ)
        os.environ.update({"CONVNET_CACHE": str(self.cache(name)), "PYTHONPATH": python_path(), **variables})
        try:
            self.nodes[name] = self.cluster.add_node(num_cpus=1)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def lose(self, name: str) -> None:
        """Kill a machine without any goodbye."""
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)

    def cache(self, name: str) -> Path:
        return self.folder / name


def python_path(source: Path = PROJECT / "src") -> str:
    return os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    machines = Machines(tmp_path_factory.mktemp("machines"), cluster)
    machines.add("first")
    machines.add("second")
    yield machines
    cluster.shutdown()


@dataclass(frozen=True)
class Study:
    """A folder in which a driver runs tiny jobs."""

    folder: Path

    def start(self, *variants: str) -> "subprocess.Popen[str]":
        (self.folder / "driver.py").write_text(DRIVER)
        command = [sys.executable, "driver.py", *variants]
        variables = environment() | {"PYTHONPATH": python_path()}
        return subprocess.Popen(command, cwd=self.folder, env=variables, stderr=subprocess.PIPE, text=True)

    def run(self, *variants: str) -> tuple[int, str]:
        with self.start(*variants) as driver:
            _, errors = driver.communicate(timeout=400)
        return driver.returncode, errors

    def results(self) -> dict[str, Path]:
        return {path.parent.parent.name: path.parent for path in self.folder.glob(f"{STORE}/*/result/facts.json")}


def study(folder: Path, machines: Machines | None, changes: Mapping[str, Any]) -> Study:
    engine = {"engine.kind": "ray", "engine.address": machines.cluster.address} if machines else {}
    write_params(folder, {**VARIANTS, **engine, **changes})
    write_arrays(folder / "arrays")
    return Study(folder)


def wait_for(found: Callable[[], object], driver: "subprocess.Popen[str]") -> None:
    while not found():
        if driver.poll() is not None:
            assert driver.stderr is not None
            pytest.fail(f"the driver ended first: {driver.stderr.read()}")
        time.sleep(0.05)


def same_result(one: Path, other: Path) -> bool:
    def recorded(folder: Path) -> Any:
        facts = read_json(folder / "facts.json")
        # The digest of the weights speaks for the model: its archive holds dates.
        return {key: facts[key] for key in facts if not key.startswith("model_")}, read_json(folder / "history.json")

    def arrays(folder: Path) -> Any:
        by_seed = load_predictions(folder / "predictions.npz")
        return [p.probabilities for splits in by_seed.values() for p in splits.values()]

    equal = [np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True)]
    return recorded(one) == recorded(other) and all(equal)


def test_lost_machine_costs_nothing_but_time(machines: Machines, tmp_path: Path) -> None:
    local = study(tmp_path / "local", None, {"run.seeds": [0, 1, 2]})
    assert local.run("long")[0] == 0
    remote = study(tmp_path / "remote", machines, {"run.seeds": [0, 1, 2]})
    with remote.start("long") as driver:
        wait_for(lambda: list(machines.cache("first").glob(f"work/{STORE}/*/checkpoint-*.npz")), driver)
        machines.lose("first")
        _, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, errors
    assert len(remote.results()) == 3
    assert remote.results().keys() == local.results().keys()
    assert all(same_result(path, local.results()[key]) for key, path in remote.results().items())


def test_killed_driver_goes_on_with_what_is_missing(machines: Machines, tmp_path: Path) -> None:
    killed = study(tmp_path, machines, {"run.seeds": [3, 4]})
    with killed.start("long") as driver:
        wait_for(killed.results, driver)
        driver.kill()
    before = {key: (path / "timing.json").stat().st_mtime_ns for key, path in killed.results().items()}
    assert len(before) == 1
    code, errors = killed.run("long")
    assert code == 0, errors
    assert "1 of 2 jobs were finished before" in errors
    assert len(killed.results()) == 2
    assert all((killed.results()[key] / "timing.json").stat().st_mtime_ns == time for key, time in before.items())


def test_failing_job_fails_alone_and_is_named(machines: Machines, tmp_path: Path) -> None:
    failing = study(tmp_path, machines, {"run.seeds": [0]})
    code, errors = failing.run("impossible", "long")
    assert code == 2
    assert "1 of 2 jobs failed, the others are kept: tiny/impossible seed 0: batch_size is 1000" in errors
    assert "Traceback" not in errors
    assert len(failing.results()) == 1


def test_machine_with_another_version_is_refused(machines: Machines, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "src" / "convnet", tmp_path / "src" / "convnet")
    with (tmp_path / "src" / "convnet" / "training" / "train.py").open("a") as file:
        file.write("\n# another version\n")
    machines.add("other", PYTHONPATH=python_path(tmp_path / "src"))
    both = study(tmp_path / "both", machines, {"run.seeds": [5, 6]})
    code, errors = both.run("baseline")
    assert code == 0, errors
    assert errors.count("is refused: its convnet is another") == 1
    assert len(both.results()) == 2
    for name in sorted(machines.nodes.keys() - {"other"}):
        machines.lose(name)
    alone = study(tmp_path / "alone", machines, {"run.seeds": [7]})
    code, errors = alone.run("baseline")
    assert code == 2
    assert "every machine of the cluster that could run a job was refused" in errors
    assert "Traceback" not in errors


def test_without_an_address_ray_is_started_for_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVNET_CACHE", str(tmp_path / "cache"))
    here = study(tmp_path / "here", None, {"engine.kind": "ray", "run.seeds": [8]})
    code, errors = here.run("baseline")
    assert code == 0, errors
    assert re.fullmatch(r"\[1/1\] tiny/baseline seed 8: 2 epochs in .*\n", errors.splitlines(keepends=True)[-1])
    assert len(here.results()) == 1


def test_unreachable_cluster_is_one_sentence(tmp_path: Path) -> None:
    nowhere = study(tmp_path, None, {"engine.kind": "ray", "engine.address": "127.0.0.1:9"})
    code, errors = nowhere.run("baseline")
    assert code == 2
    assert "error: the Ray cluster at 127.0.0.1:9 cannot be used" in errors
    assert "Traceback" not in errors
