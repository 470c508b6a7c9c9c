"""Ctrl-C in real processes. Where `keras` counts as loaded, they lose exceptions, as C code of libraries does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from convnet.system import interrupts
from convnet.system.errors import command
from helpers.processes import hear_control_c

BEGIN = """
import sys, time
from pathlib import Path
from convnet.system import interrupts
from convnet.system.errors import command
from convnet.system.progress import progress

def lose_exceptions(seconds):
    try:
        time.sleep(seconds)
    except BaseException:
        pass

def begun():
    Path("begun").touch()

@command
def main():
"""
FAR = 1000.0  # seconds after which a process ends on its own


class Script:
    """A command that runs in a process of its own."""

    def __init__(self, folder: Path, body: str, seconds_to_stop: float, ignored: bool) -> None:
        lines = [f"    {line}" for line in body.splitlines()]
        end = f"interrupts.SECONDS_TO_STOP = {seconds_to_stop}\nmain()\n"
        (folder / "script.py").write_text("\n".join([BEGIN, *lines, "", end]))
        self._process = subprocess.Popen(
            [sys.executable, "script.py"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else hear_control_c,
        )
        end_of_wait = time.monotonic() + 60
        while not (folder / "begun").exists():
            assert time.monotonic() < end_of_wait
            time.sleep(0.01)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, list[str]]:
        said, _ = self._process.communicate(timeout=60)
        return self._process.returncode, said.splitlines()


def interrupted(folder: Path, body: str, seconds_to_stop: float = FAR) -> tuple[int, list[str]]:
    script = Script(folder, body, seconds_to_stop, ignored=False)
    script.interrupt()
    return script.end()


CLEANED = """
try:
    begun()
    {}
finally:
    print("cleaned", flush=True)
"""
LOADED = 'sys.modules["keras"] = sys\n'
STOPPED = (interrupts.EXIT_CODE, ["cleaned", interrupts.STOPPED])


def test_without_keras_it_stops_at_once_and_cleans_up(tmp_path: Path) -> None:
    assert interrupted(tmp_path, CLEANED.format("time.sleep(600)")) == STOPPED


def test_with_keras_it_stops_between_two_steps_although_a_library_loses_exceptions(tmp_path: Path) -> None:
    work = 'for _ in progress(range(10**6), total=10**6, label="work"): lose_exceptions(0.01)'
    assert interrupted(tmp_path, LOADED + CLEANED.format(work)) == STOPPED


def test_work_that_has_no_more_steps_is_stopped_at_its_end(tmp_path: Path) -> None:
    assert interrupted(tmp_path, LOADED + CLEANED.format("lose_exceptions(1.0)")) == STOPPED


def test_work_without_steps_ends_after_some_seconds(tmp_path: Path) -> None:
    work = LOADED + CLEANED.format("while True: lose_exceptions(0.01)")
    assert interrupted(tmp_path, work, seconds_to_stop=0.2) == (interrupts.EXIT_CODE, [interrupts.STOPPED])


def test_second_control_c_does_not_wait(tmp_path: Path) -> None:
    script = Script(tmp_path, LOADED + CLEANED.format("while True: lose_exceptions(0.01)"), FAR, ignored=False)
    end_of_wait = time.monotonic() + 60
    while script.runs:  # two signals that come together count as one
        assert time.monotonic() < end_of_wait
        script.interrupt()
        time.sleep(0.3)
    assert script.end() == (interrupts.EXIT_CODE, [interrupts.STOPPED])


def test_ignored_control_c_stays_ignored(tmp_path: Path) -> None:
    script = Script(tmp_path, LOADED + 'begun(); time.sleep(1); print("done")', FAR, ignored=True)
    script.interrupt()
    assert script.end() == (0, ["done"])


def test_after_a_command_control_c_is_what_it_was() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    inside = []
    command(lambda: inside.append(signal.getsignal(signal.SIGINT)))()
    after = signal.signal(signal.SIGINT, before)
    assert after is signal.default_int_handler
    assert inside != [after]
