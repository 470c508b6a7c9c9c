"""Facts of machines that lack what Linux offers."""

import os
from pathlib import Path
from typing import Any

import pytest

from convnet.backend.machine import machine_facts


def test_machine_without_proc_and_sysconf_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    read_text = Path.read_text

    def missing(path: Path, *arguments: Any, **named: Any) -> str:
        if path.is_relative_to("/proc"):
            raise FileNotFoundError(path)
        return read_text(path, *arguments, **named)

    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    facts = machine_facts()
    assert facts["memory_gib"] is None
    assert facts["gpu"] is None
    assert facts["processor"]
    assert facts["cores"] >= 1


def test_memory_is_unknown_where_sysconf_lacks_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", refuse)
    assert machine_facts()["memory_gib"] is None
