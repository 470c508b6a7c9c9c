import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from convnet.system.errors import UserError
from convnet.system.processes import map_in_processes, shielded, usable_cores


def _square(number: int) -> int:
    return number * number


def _refuse_seven(number: int) -> int:
    if number == 7:
        raise UserError("seven is refused")
    return number


def _killed(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order(processes: int) -> None:
    assert list(map_in_processes(_square, range(100), processes)) == [number**2 for number in range(100)]


def test_items_are_drawn_only_a_little_ahead() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(100_000):
            drawn += 1
            yield number

    results = map_in_processes(_square, items(), 2)
    assert next(results) == 0
    assert drawn < 200
    results.close()  # type: ignore[attr-defined]


def test_fault_in_a_worker_reaches_the_caller() -> None:
    with pytest.raises(UserError, match="seven is refused"):
        list(map_in_processes(_refuse_seven, range(50), 2))


def test_killed_worker_is_told_and_does_not_hang() -> None:
    with pytest.raises(UserError, match="memory"):
        list(map_in_processes(_killed, range(50), 2))


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, sys, time\n"
        "from convnet.system.processes import map_in_processes\n"
        "def report(number):\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(map_in_processes(report, range(32), 2))\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        parent.wait()
    for _ in range(200):
        if not any(_alive(worker) for worker in workers):
            return
        time.sleep(0.05)
    pytest.fail("a worker outlives its parent")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A process that ended but was not collected by init still has an entry.
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_processes_whose_results_nobody_wants_do_not_finish_them() -> None:
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=[600])
    other.start()
    results = map_in_processes(time.sleep, [0.0, 600.0, 600.0], 2, items_per_task=1)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == [other]
    other.kill()
    other.join()


def test_there_is_at_least_one_core() -> None:
    assert usable_cores() >= 1


def test_cores_are_counted_where_no_call_names_the_usable_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() == os.cpu_count()


def test_process_starts_where_signals_cannot_be_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "pthread_sigmask")
    process = multiprocessing.get_context("spawn").Process(target=_square, args=(2,))
    with shielded():
        process.start()
    process.join(60)
    assert process.exitcode == 0
