"""docs/remedies.md lists every remedy with what its module states."""

from convnet.params.remedies import Remedy, find_remedies
from helpers.tiny_study import PROJECT


def row(name: str, remedy: Remedy) -> str:
    key = f"`{name}`" if remedy.settings else name.replace("_", " ")
    range_ = "on or off"
    if remedy.strength:
        knob, low, high, scale = remedy.strength
        range_ = f"{knob} {low:g} to {high:g}, {scale}"
    return f"| {key} | {remedy.sentence} | {range_} | {remedy.on_features} | {remedy.source} |"


def test_page_lists_every_remedy() -> None:
    lines = (PROJECT / "docs" / "remedies.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")][1:]  # below the heading
    assert rows == [row(name, remedy) for name, remedy in find_remedies().items()]
