import io
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from convnet.system.progress import progress, show_progress_every


def test_every_item_comes_in_order_and_quick_work_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(5), total=5, label="verify pets")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")


def test_lines_name_the_work_the_count_and_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    _shown_every(0.0, "batch")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # none after the last item
    assert lines[0].startswith("train pets: 1/3 batch, ")
    assert lines[1].startswith("train pets: 2/3 batch, ")
    assert all(line.endswith(" s left") for line in lines)


def test_hidden_progress_prints_nothing_and_yields_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert _shown_every(None) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def _shown_every(seconds: float | None, unit: str = "images") -> list[str]:
    def show() -> list[str]:
        show_progress_every(seconds)
        return list(progress("abc", total=3, label="train pets", unit=unit))

    return copy_context().run(show)


def test_terminal_gets_a_bar_with_label_and_count() -> None:
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))  # on a screen without columns there is no bar
    program = "from convnet.system.progress import progress; print(*progress('abc', total=3, label='verify pets'))"
    done = subprocess.run([sys.executable, "-c", program], stderr=terminal, stdout=subprocess.PIPE, check=True)
    shown = os.read(controller, 10_000).decode()
    os.close(terminal)
    os.close(controller)
    assert done.stdout == b"a b c\n"
    assert "verify pets" in shown
    assert "/3" in shown


def test_items_are_drawn_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    drawn = []

    def items() -> Iterator[int]:
        for number in range(10):
            drawn.append(number)
            yield number

    shown = progress(items(), total=10, label="verify pets")
    assert [next(shown), next(shown)] == [0, 1]
    assert drawn == [0, 1]


def test_more_items_than_expected_still_come() -> None:
    assert list(progress(range(4), total=2, label="verify pets")) == [0, 1, 2, 3]
