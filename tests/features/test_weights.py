"""Weight files: none is taken that params.yaml does not name by a hash."""

import hashlib
from pathlib import Path

import pytest

from convnet.data.sources import DATA_VARIABLE
from convnet.features.weights import fetch_weights
from convnet.params.backbone import Weights
from convnet.system.errors import UserError

CONTENT, OTHER = b"\x89HDF the published weights", b"\x89HDF other weights"
SHA256, OTHER_SHA256 = (hashlib.sha256(content).hexdigest() for content in (CONTENT, OTHER))
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
NOWHERE = "http://127.0.0.1:9/weights.h5"  # nobody answers there


@pytest.fixture
def destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder; the current one is empty too, as the files that were fetched before lie there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    folder = tmp_path / "backbone"
    folder.mkdir()
    return folder


@pytest.fixture
def local(tmp_path: Path) -> str:
    """The address of a file on this machine."""
    (tmp_path / "weights.h5").write_bytes(CONTENT)
    return f"file://{tmp_path}/weights.h5"


@pytest.fixture
def stand_in(destination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file under the official name, in the folder that CONVNET_DATA names."""
    assert not any(destination.iterdir())
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "weights.h5").write_bytes(OTHER)
    monkeypatch.setenv(DATA_VARIABLE, str(folder))


@pytest.mark.parametrize("named", [{"sha256": SHA256}, {"md5": MD5}, {"stand_ins": [SHA256]}])
def test_file_with_a_named_hash_is_taken(destination: Path, local: str, named: dict[str, object]) -> None:
    entry = fetch_weights(Weights.model_validate({"url": local} | named), destination)
    assert (destination / "weights.h5").read_bytes() == CONTENT
    assert entry["sha256"] == SHA256


def test_file_that_no_hash_names_is_refused(destination: Path, local: str) -> None:
    with pytest.raises(UserError, match=f"weights.h5 has the SHA-256 {SHA256}, which params.yaml does not name"):
        fetch_weights(Weights(url=local), destination)
    assert list(destination.iterdir()) == []


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("named", [{"sha256": SHA256}, {"md5": MD5}, {}])
def test_stand_in_that_no_hash_names_is_refused(destination: Path, named: dict[str, object]) -> None:
    with pytest.raises(
        UserError, match=f"has the SHA-256 {OTHER_SHA256}, which params.yaml does not name: .*stand_ins"
    ):
        fetch_weights(Weights.model_validate({"url": NOWHERE} | named), destination)
    assert list(destination.iterdir()) == []


@pytest.mark.usefixtures("stand_in")
def test_named_stand_in_is_taken_and_said_to_differ(destination: Path) -> None:
    weights = Weights.model_validate({"url": NOWHERE, "sha256": SHA256, "stand_ins": [OTHER_SHA256]})
    entry = fetch_weights(weights, destination)
    assert (destination / "weights.h5").read_bytes() == OTHER
    assert "not the official file" in entry["note"]
