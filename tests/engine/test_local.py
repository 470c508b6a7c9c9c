"""Jobs side by side in processes: the same results, and real signals."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convnet.engine.job_log import JobLog
from convnet.engine.local import LARGE_PAGES, death
from convnet.engine.run import parallel_processes
from convnet.jobs.job import STORE
from convnet.jobs.planning import plan_jobs
from convnet.params.load import load_params
from convnet.system.files import read_json
from convnet.system.processes import usable_cores
from helpers.processes import end_by, hear_control_c, processes_of
from helpers.tiny_study import CHANGES, environment, pixel_jobs, write_arrays, write_params

DRIVER = """
import sys
from dataclasses import replace
from pathlib import Path
from convnet.system.errors import command
from convnet.engine.local import Workers
from convnet.engine.run import choose_engine, run_jobs
from convnet.params.load import load_params
from convnet.jobs.planning import plan_jobs
from convnet.engine.job_log import JobLog

# Arguments: processes, and variants: "+" begins one job of it before all, ">" gives its jobs to a second call.
def plan(variant):
    jobs = plan_jobs(load_params(), variant, Path("arrays"))
    # Whatever can be known before is refused before; these arrays are missing only when the job begins.
    return [replace(job, arrays=Path("gone")) for job in jobs] if variant == "impossible" else jobs

@command
def main():
    params = choose_engine(load_params(), int(sys.argv[1]), None, None)
    jobs = [job for variant in sys.argv[2:] if variant[0] not in "+>" for job in plan(variant)]
    later = [job for variant in sys.argv[2:] if variant[0] == ">" for job in plan(variant[1:])]
    log = JobLog(len(jobs + later), 0)
    with Workers() as workers:
        for variant in sys.argv[2:]:
            if variant[0] == "+":
                workers.begin(plan(variant[1:])[0])
        run_jobs(jobs, params, workers, log, later)
        if later:
            print(sum(job.folder.exists() for job in later), "of the second call have begun", file=sys.stderr)
            run_jobs(later, params, workers, log)
    log.close()

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_params(tmp_path, CHANGES)
    write_arrays(tmp_path / "arrays")
    (tmp_path / "driver.py").write_text(DRIVER)
    return tmp_path


def start(folder: Path, processes: int, *variants: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "driver.py", str(processes), *variants]
    # A group of its own, so that a signal can be sent to all of it as a terminal does.
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_control_c,
    )


def run(folder: Path, processes: int, *variants: str) -> tuple[int, str]:
    with start(folder, processes, *variants) as driver:
        _, errors = driver.communicate(timeout=400)
    return driver.returncode, errors


def states(folder: Path) -> list[Path]:
    return list(folder.glob(f"{STORE}/*/checkpoint-*.npz"))


def wait_for_states(folder: Path, jobs: int, driver: "subprocess.Popen[str]") -> None:
    while len({path.parent for path in states(folder)}) < jobs:
        assert driver.poll() is None, driver.stderr.read() if driver.stderr else ""
        time.sleep(0.05)


def trainers(session: int) -> list[int]:
    """Return the processes that run jobs."""

    def is_trainer(process: int) -> bool:
        return b"multiprocessing.spawn" in Path(f"/proc/{process}/cmdline").read_bytes()

    return [process for process in processes_of(session) if is_trainer(process)]


@pytest.mark.slow
def test_results_are_those_of_one_process_and_lines_are_whole(
    study: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    write_params(other, CHANGES)
    write_arrays(other / "arrays")
    (other / "driver.py").write_text(DRIVER)
    code, errors = run(study, 2, "baseline", "impossible")
    assert code == 2
    failed = r"tiny/impossible seed [01]: gone/dataset\.json is missing; run `dvc repro` to make it"
    assert re.search(f"error: 2 of 4 jobs failed, the others are kept: {failed}; {failed}\n", errors)
    ended = [line for line in errors.splitlines() if "images/s" in line and "epochs in" in line]
    assert len(ended) == 2
    assert all(re.fullmatch(r"\[\d/4\] tiny/baseline seed \d: 2 epochs in [\d.]+ s, .*", line) for line in ended)
    assert run(other, 1, "baseline")[0] == 0
    assert digests(study) == digests(other)
    assert len(digests(study)) == 2


@pytest.mark.slow
def test_each_line_of_the_jobs_is_printed_once_and_nothing_else(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    for job in plan_jobs(load_params(), "baseline", Path("arrays")):
        job.folder.mkdir(parents=True)
        (job.folder / "checkpoint-00001.npz").write_bytes(bytes(1000))
    code, errors = run(study, 2, "baseline")
    assert code == 0
    # On a slow machine the parent tells now and then how far it is; without a GPU there is a line that says so.
    said = [line for line in errors.splitlines() if "jobs at work" not in line]
    about_gpu = [line for line in said if "GPU" in line]
    assert len(about_gpu) <= 1
    damaged = re.compile(r"\.jobs/\w+/checkpoint-00001\.npz is damaged \(its checksum does not match\): starting again")
    assert len({line for line in said if damaged.fullmatch(line)}) == 2
    assert len([line for line in said if re.match(r"\[[12]/2\] tiny/baseline seed [01]: 2 epochs in ", line)]) == 2
    assert len(said) == len(about_gpu) + 4
    assert [path.name for path in study.glob(f"{STORE}/*/*")] == ["result", "result"]


def counted(errors: str) -> list[str]:
    return [line.partition(":")[0] for line in errors.splitlines() if "epochs in" in line]


@pytest.mark.slow
def test_job_that_begins_before_all_is_waited_for_where_it_is_wanted_but_not_counted(study: Path) -> None:
    code, errors = run(study, 2, "+impossible", "+baseline", "baseline")
    assert (code, len(digests(study))) == (0, 2)
    assert counted(errors) == ["[1/2] tiny/baseline seed 1"]
    assert "impossible" not in errors


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="there is one core only")
def test_idle_process_begins_a_job_of_the_next_call_which_waits_for_it(study: Path) -> None:
    write_params(study, {**CHANGES, "run.seeds": [0, 1, 2]})
    code, errors = run(study, 2, "baseline", ">augmented")
    assert (code, len(digests(study))) == (0, 6)
    assert re.search(r"^[123] of the second call have begun$", errors, re.MULTILINE)
    jobs = [f"tiny/{variant} seed {seed}" for variant in ("baseline", "augmented") for seed in range(3)]
    assert sorted(line.partition(" ")[2] for line in counted(errors)) == sorted(jobs)
    assert [line[:5] for line in counted(errors)] == [f"[{number}/6]" for number in range(1, 7)]


@pytest.mark.parametrize(
    ("batch_size", "advice"), [(9, "set batch_size to 4"), (2, "set batch_size to 1"), (1, "set a smaller image_size")]
)
def test_process_killed_for_memory_gets_advice(batch_size: int, advice: str) -> None:
    assert death(-signal.SIGKILL, batch_size).endswith(
        f"lower engine.parallel_jobs or {advice}, and run the same command again"
    )


def digests(folder: Path) -> dict[str, str]:
    found = folder.glob(f"{STORE}/*/result/facts.json")
    return {path.parent.parent.name: read_json(path)["weights_digest"] for path in found}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda kind: kind.name)
def test_signal_ends_every_process_and_keeps_the_states(study: Path, kind: signal.Signals) -> None:
    with start(study, 2, "endless") as driver:
        wait_for_states(study, 2, driver)
        errors = end_by(kind, driver)
    assert "Traceback" not in errors
    if kind is signal.SIGINT:
        assert driver.returncode == 130
        assert "finished work is kept" in errors
    assert len({path.parent for path in states(study)}) == 2


@pytest.mark.slow
def test_killed_process_is_named_with_its_job_and_the_others_go_on(study: Path) -> None:
    with start(study, 2, "endless", "baseline") as driver:
        wait_for_states(study, 2, driver)
        for process in trainers(driver.pid):
            assert "=".join(LARGE_PAGES).encode() in Path(f"/proc/{process}/environ").read_bytes()
            os.kill(process, signal.SIGKILL)
        _, errors = driver.communicate(timeout=400)
    assert driver.returncode == 2
    killed = "tiny/endless seed 0: its process was killed, most likely because the memory ran out; "
    advice = "lower engine.parallel_jobs or set batch_size to 4, and run the same command again"
    assert errors.count(killed + advice) == 2  # when it ends, and in the last sentence
    assert "2 of 4 jobs failed" in errors
    assert len(digests(study)) == 2


@pytest.mark.slow
def test_two_commands_that_want_the_same_jobs_train_each_once(study: Path) -> None:
    with start(study, 2, "baseline") as one, start(study, 2, "baseline") as other:
        endings = [command.communicate(timeout=400) for command in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], endings
    assert len(digests(study)) == 2
    remains = [path.name for path in study.glob(f"{STORE}/*/*") if path.name != "result"]
    assert remains == []


def test_processes_are_as_many_as_the_cores_have_threads_for(tmp_path: Path) -> None:
    cores = usable_cores()

    def processes(parallel: int, threads: int, jobs: int) -> int:
        path = write_params(tmp_path, {"engine.parallel_jobs": parallel, "engine.threads_per_job": threads})
        return parallel_processes(load_params(path), jobs)

    assert processes(1, 1, 100) == 1
    assert processes(1000, 1, 1000) == cores
    assert processes(1000, cores, 1000) == 1
    assert processes(1000, 2 * cores, 1000) == 1
    assert processes(1000, 1, 1) == 1


def test_log_names_every_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from convnet.system.errors import UserError

    monkeypatch.chdir(tmp_path)
    (job,) = pixel_jobs(tmp_path)
    log = JobLog(2, 3)
    log.ended(job, "one: too large")
    log.ended(job, "two: too small")
    with pytest.raises(UserError, match="2 of 5 jobs failed, the others are kept: one: too large; two: too small"):
        log.close()
    assert "3 of 5 jobs were finished before" in capsys.readouterr().err
    assert read_json(job.folder / "failed.json") == {"job": job.label, "reason": "two: too small"}
