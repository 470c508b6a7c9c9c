import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet.jobs.checkpoints import GROUPS, KEPT, Checkpoint, clear_checkpoints, load_checkpoint, save_checkpoint
from convnet.system.errors import UserError


def state(epoch: int) -> Checkpoint:
    generator = np.random.default_rng([epoch])
    weights = [generator.random((3, 4)).astype(np.float32), generator.random(4).astype(np.float32)]
    return Checkpoint(
        epoch=epoch,
        variables=weights,
        optimizer=[np.array(17 * epoch, dtype=np.int64), *weights],
        history=[{"epoch": n, "loss": 1 / 3 / n, "learning_rate": 1e-4} for n in range(1, epoch + 1)],
        seconds=0.1 * epoch,
        best_variables=[weights[0] + 1, weights[1]],
        best_optimizer=[np.array(17, dtype=np.int64), weights[0] + 2],
    )


def assert_equal(found: Checkpoint | None, expected: Checkpoint) -> None:
    assert found is not None
    for name in ("epoch", "history", "seconds"):
        assert getattr(found, name) == getattr(expected, name)
    for name in GROUPS:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert [array.dtype for array in ours] == [array.dtype for array in theirs]
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(3))
    assert_equal(load_checkpoint(tmp_path), state(3))


def test_more_than_ten_arrays_keep_their_order(tmp_path: Path) -> None:
    many = state(1)
    many.variables = [np.full(2, number) for number in range(25)]
    save_checkpoint(tmp_path, many)
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert [int(array[0]) for array in found.variables] == list(range(25))


def test_before_the_first_epoch_there_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "not-there") is None


def test_without_a_best_epoch_yet(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Checkpoint(1, [np.ones(2)], [], [{"epoch": 1, "loss": 0.5}], 0.1))
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert (found.best_variables, found.best_optimizer) == ([], [])


def test_newest_is_taken_and_only_two_are_kept(tmp_path: Path) -> None:
    for epoch in (8, 9, 10, 11):
        save_checkpoint(tmp_path, state(epoch))
    assert KEPT == 2
    assert files(tmp_path) == ["checkpoint-00010.npz", "checkpoint-00011.npz"]
    assert_equal(load_checkpoint(tmp_path), state(11))


def test_finished_job_keeps_no_state(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(1))
    (tmp_path / "result").mkdir()
    clear_checkpoints(tmp_path)
    assert files(tmp_path) == ["result"]


def test_left_over_of_a_killed_writer_is_no_state_and_goes_when_the_job_has_finished(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(1))
    left_over = tmp_path / ".checkpoint-00002.abc123.partial.npz"
    left_over.write_bytes(b"PK")
    assert_equal(load_checkpoint(tmp_path), state(1))
    clear_checkpoints(tmp_path)
    assert not left_over.exists()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_cut_state_falls_back_to_the_epoch_before_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: float
) -> None:
    save_checkpoint(tmp_path, state(1))
    save_checkpoint(tmp_path, state(2))
    newest = tmp_path / "checkpoint-00002.npz"
    newest.write_bytes(newest.read_bytes()[: int(kept * newest.stat().st_size)])
    assert_equal(load_checkpoint(tmp_path), state(1))
    said = capsys.readouterr().err
    assert said == f"{newest} is damaged (its checksum does not match): taking the one before it\n"
    assert files(tmp_path) == ["checkpoint-00001.npz"]


def test_two_damaged_states_start_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path, state(epoch))
        (tmp_path / f"checkpoint-0000{epoch}.npz").write_bytes(b"no archive")
    assert load_checkpoint(tmp_path) is None
    said = capsys.readouterr().err.splitlines()
    assert [line.rpartition(": ")[2] for line in said] == ["taking the one before it", "starting again"]
    assert files(tmp_path) == []


def test_states_that_cannot_be_read_for_now_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_disk(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for epoch in (1, 2):
        save_checkpoint(tmp_path, state(epoch))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        with pytest.raises(UserError, match=r"cannot be read \(Too many open files\): run the same command again, or"):
            load_checkpoint(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", broken_disk)
        with pytest.raises(UserError, match=r"cannot be read \(Input/output error\)"):
            load_checkpoint(tmp_path)
    assert_equal(load_checkpoint(tmp_path), state(2))
    assert files(tmp_path) == ["checkpoint-00001.npz", "checkpoint-00002.npz"]


@given(where=st.floats(0.0, 1.0, exclude_max=True), value=st.integers(1, 255), count=st.sampled_from([1, 1, 4, 60]))
def test_no_damage_gives_a_traceback_or_other_numbers(
    where: float, value: int, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged-states"
    clear_checkpoints(folder)
    save_checkpoint(folder, state(1))
    save_checkpoint(folder, state(2))
    newest = folder / "checkpoint-00002.npz"
    content = bytearray(newest.read_bytes())
    place = int(where * len(content))
    for offset in range(place, min(place + count, len(content))):
        content[offset] ^= value
    newest.write_bytes(content)
    found = load_checkpoint(folder)
    assert found is not None
    assert_equal(found, state(found.epoch))
