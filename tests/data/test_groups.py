"""Groups never cross splits, and sequences of one scene are noticed."""

from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convnet.data.arrays import load_arrays, prepare_arrays
from convnet.data.decoding import DEFAULT_LIMITS
from convnet.data.groups import join_groups
from convnet.data.manifest import build_manifest
from convnet.params.data import Split
from convnet.system.errors import UserError
from convnet.system.files import read_json, write_json
from helpers.tiny_dataset import encoded, picture, write_dataset

RULES = Split(
    validation=0.2, test=0.2, test_from_validation=0.5, seed=0, near_duplicate_distance=8, repair_leaks=False,
    strict=False,
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["", "a", "b", "c", "d"])), max_size=30))
def test_groups_are_the_connected_parts_of_copies_and_names(images: list[tuple[int, str]]) -> None:
    first: dict[int, int] = {}
    copies = np.array([first.setdefault(copy, index) for index, (copy, _) in enumerate(images)], dtype=np.int64)
    graph = networkx.Graph()
    for index, (_, name) in enumerate(images):
        graph.add_edge(index, int(copies[index]))
        if name:
            graph.add_edge(index, name)
    expected = {}
    for part in networkx.connected_components(graph):
        members = [node for node in part if isinstance(node, int)]
        expected |= dict.fromkeys(members, min(members))
    names = [name for _, name in images]
    assert join_groups(copies, names).tolist() == [expected[index] for index in range(len(images))]


def dataset(folder: Path, members: dict[str, bytes], **reading: object) -> Path:
    write_dataset(folder, {"a.zip": members})
    write_json(folder / "sources.json", read_json(folder / "sources.json") | {"reading": reading})
    return folder


def patients(count: int = 12, each: int = 3, folder: str = "") -> dict[str, bytes]:
    return {
        f"{folder}p{patient:02}/{label}/{index}.png": encoded(picture(100 * patient + 10 * number + index))
        for patient in range(count)
        for number, label in enumerate(("benign", "malignant"))
        for index in range(each)
    }


def test_group_never_crosses_splits_and_reaches_the_arrays(tmp_path: Path) -> None:
    archives = dataset(tmp_path / "archives", patients(), groups={"by_folder": True})
    manifest, summary = build_manifest(archives, limits=DEFAULT_LIMITS, split=RULES)
    assert summary["groups"] == 12
    assert (manifest.groupby("group_name")["split"].nunique() == 1).all()
    assert (manifest.groupby("group_name")["group"].nunique() == 1).all()
    assert manifest["group"].nunique() == 12
    assert summary["duplicates"]["groups"] == []
    prepare_arrays(manifest, archives, (8, 8), DEFAULT_LIMITS, tmp_path / "arrays")
    groups = [set(load_arrays(tmp_path / "arrays", split).groups.tolist()) for split in ("train", "validation", "test")]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 12


def test_group_in_two_parts_of_an_official_division_is_refused_or_repaired(tmp_path: Path) -> None:
    members = patients(8, folder="train/") | patients(1, folder="test/")
    members |= {
        name.replace("test/p00", "test/q"): encoded(picture(9000 + i))
        for i, name in enumerate(patients(1, folder="test/"))
    }
    archives = dataset(tmp_path, members, groups={"by_folder": True})
    with pytest.raises(UserError, match=r"1 groups are in two parts .*, the first is 'p00' in test and train"):
        build_manifest(archives, limits=DEFAULT_LIMITS, split=RULES)
    manifest, _ = build_manifest(archives, limits=DEFAULT_LIMITS, split=RULES.model_copy(update={"repair_leaks": True}))
    used = manifest[manifest["verdict"] == "accepted"]
    assert (used.groupby("group_name")["split"].nunique() == 1).all()
    left_out = manifest[manifest["verdict"] == "rejected"]
    assert set(left_out["group_name"]) == {"p00"}


def clips(same: bool) -> dict[str, bytes]:
    """Clips whose frames change little (`same`), or images without relation under names of clips."""
    members = {}
    for clip in range(8):
        scene = np.asarray(picture(clip)).astype(np.int16)
        for frame in range(15):
            noise = np.random.default_rng([clip, frame]).integers(-40, 40, (5, 6, 3))
            shaken = scene + np.kron(noise, np.ones((8, 8, 1), dtype=np.int16))
            image = Image.fromarray(np.clip(shaken, 0, 255).astype(np.uint8)) if same else picture(100 * clip + frame)
            members[f"{'cat' if clip % 2 else 'dog'}/clip{clip}_{frame:03}.png"] = encoded(image)
    return members


@pytest.mark.parametrize("same", [True, False])
def test_sequences_of_one_scene_get_a_remark(same: bool, tmp_path: Path) -> None:
    rules = RULES.model_copy(update={"near_duplicate_distance": 0})
    _, summary = build_manifest(dataset(tmp_path, clips(same)), limits=DEFAULT_LIMITS, split=rules)
    proposed = [note for note in summary["layout"] if "--group-from-name '{group}_{number}'" in note]
    assert len(proposed) == same


def test_no_remark_once_the_groups_are_named(tmp_path: Path) -> None:
    archives = dataset(tmp_path, clips(True), groups={"from_name": "{group}_{number}"})
    manifest, summary = build_manifest(archives, limits=DEFAULT_LIMITS, split=RULES)
    assert summary["layout"] == []
    assert summary["groups"] == 8
    assert (manifest.groupby("group_name")["split"].nunique() == 1).all()
