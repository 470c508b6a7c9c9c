import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet.data.archives import open_archive
from convnet.data.class_folders import ImageMember, read_layout
from convnet.data.folder_checks import check_classes
from convnet.data.member_names import Member
from convnet.system.errors import UserError


def members(*names: str) -> list[Member]:
    return [Member(name, 1) for name in names]


def found(*names: str) -> list[tuple[str, str, str | None]]:
    return [(image.name, image.class_name, image.official_split) for image in read_layout(members(*names)).images]


def test_folders_at_the_root_are_classes():
    assert found("horses/1.png", "humans/1.png") == [("horses/1.png", "horses", None), ("humans/1.png", "humans", None)]


@pytest.mark.parametrize("top", ["rps", "a/b/c"])
def test_single_folders_around_the_classes_are_skipped(top):
    assert found(f"{top}/rock/1.png", f"{top}/paper/1.png") == [
        (f"{top}/paper/1.png", "paper", None),
        (f"{top}/rock/1.png", "rock", None),
    ]


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"), ("Training", "train"), ("validation", "validation"), ("VAL", "validation"),
        ("valid", "validation"), ("test", "test"), ("Testing", "test"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("top", ["", "pets/"])
def test_official_split_is_read_from_folder_names(folder, split, top):
    assert found(f"{top}{folder}/cats/1.jpg", f"{top}{folder}/dogs/1.jpg") == [
        (f"{top}{folder}/cats/1.jpg", "cats", split),
        (f"{top}{folder}/dogs/1.jpg", "dogs", split),
    ]


def test_all_parts_of_an_official_split_are_told_apart():
    assert {(name, split) for _, name, split in found("train/a/1", "train/b/1", "val/a/1", "val/b/1", "test/a/1")} == {
        ("a", "train"), ("b", "train"), ("a", "validation"), ("b", "validation"), ("a", "test"),
    }  # fmt: skip


def test_one_folder_called_train_may_be_a_class():
    assert [image.class_name for image in read_layout(members("bus/1.jpg", "train/1.jpg")).images] == ["bus", "train"]


def test_folder_beside_an_official_split_is_refused():
    with pytest.raises(UserError, match=r"'sketches' is beside folders of an official split \(test, train\)"):
        found("train/a/1", "test/a/1", "sketches/1")


def test_deeper_folders_belong_to_their_class():
    assert found("cats/indoors/black/1.jpg", "dogs/1.jpg")[0] == ("cats/indoors/black/1.jpg", "cats", None)


def test_every_suffix_counts():
    assert len(found("cats/1", "cats/2.txt", "dogs/3.jpeg")) == 3


def test_system_and_hidden_files_are_left_out():
    clutter = [
        *("__MACOSX/cats/._1.jpg", ".DS_Store", "cats/.DS_Store", "cats/._1.jpg", "cats/Thumbs.db"),
        *("dogs/desktop.ini", ".git/cats/1.jpg", "cats/.cache/1.jpg"),
    ]
    layout = read_layout(members(*clutter, "cats/1.jpg", "dogs/1.jpg"), ["__MACOSX", ".empty", "cats"])
    assert [image.name for image in layout.images] == ["cats/1.jpg", "dogs/1.jpg"]
    assert layout.empty_classes == []
    assert layout.outside == []


def test_clutter_beside_the_single_folder_does_not_hide_the_classes():
    assert [c for _, c, _ in found("rps/rock/1.png", "rps/paper/1.png", "__MACOSX/rps/._rock")] == ["paper", "rock"]


def test_files_outside_all_classes_are_told():
    layout = read_layout(members("PetImages/Cat/1.jpg", "PetImages/Dog/1.jpg", "readme[1].txt", "PetImages/list.txt"))
    assert {image.class_name for image in layout.images} == {"Cat", "Dog"}
    assert layout.outside == ["PetImages/list.txt", "readme[1].txt"]


def test_file_in_a_split_folder_is_outside():
    assert read_layout(members("train/a/1.jpg", "train/list.txt")).outside == ["train/list.txt"]


def test_empty_class_folder_is_noticed():
    assert read_layout(members("cats/1.jpg"), ["cats", "dogs/"]).empty_classes == ["dogs"]
    assert read_layout(members("pets/cats/1.jpg"), ["pets", "pets/cats", "pets/dogs"]).empty_classes == ["dogs"]


def test_class_filled_in_one_split_only_is_not_empty():
    assert read_layout(members("train/a/1", "train/b/1", "test/a/1"), ["test/b"]).empty_classes == []


def test_class_whose_files_are_all_hidden_is_empty():
    assert read_layout(members("cats/1.jpg", "dogs/.1.jpg"), ["dogs"]).empty_classes == ["dogs"]


@pytest.mark.parametrize("name", ["my cats", "Kätzchen", '<b>&"cats"', "it's", "100%", "猫"])
def test_class_may_have_any_name(name):
    assert found(f"{name}/1.jpg", "zebras/1.jpg")[-2:][0][1:] in ((name, None), ("zebras", None))
    assert name in {class_name for _, class_name, _ in found(f"{name}/1.jpg", "zebras/1.jpg")}


def test_class_name_is_nfc_and_member_name_is_kept():
    assert found("Ka\u0308tzchen/1.jpg", "dogs/1.jpg")[0] == ("Ka\u0308tzchen/1.jpg", "K\u00e4tzchen", None)


def test_unicode_twins_are_refused():
    with pytest.raises(UserError, match=r"'Ka\\u0308tzchen' and 'K\\xe4tzchen'"):
        found("K\u00e4tzchen/1.jpg", "Ka\u0308tzchen/2.jpg")


@pytest.mark.parametrize(
    ("first", "second"), [("Cats/1", "cats/1"), ("train/Cats/1", "val/cats/1"), ("Ä/1", "a\u0308/1")]
)
def test_case_twins_are_refused(first, second):
    with pytest.raises(UserError, match="differ only in letter case"):
        found(first, second)


def test_sharp_s_is_no_twin():
    assert len(found("Maße/1", "Masse/1")) == 2


def test_no_folders_give_no_images():
    assert found("1.jpg", "2.jpg") == []
    assert read_layout([]).images == []


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "no class found"),
        ({"cats": 12}, "found only the class 'cats' \\(12 images\\)"),
        ({"cats": 12, "dogs": 0}, "the class 'dogs' is empty"),
        ({"cats": 12, "dogs": 1}, "the class 'dogs' has only 1 image"),
        ({"cats": 12, "Cats": 3}, "'Cats' and 'cats' differ only in letter case"),
    ],
)
def test_classes_that_cannot_be_learnt_are_refused(counts, message):
    with pytest.raises(UserError, match=message):
        check_classes(counts)


def test_two_classes_with_two_images_are_enough():
    check_classes({"cats": 2, "dogs": 2})


def test_depth_of_a_name_costs_no_memory():
    # These 56 KB were 1.5 GB: every folder with all folders around it, quadratic in the depth.
    code = """
from convnet.data.class_folders import read_layout
from convnet.data.member_names import Member
images = read_layout(Member(f"{name}/" + "a/" * 7000 + "1.jpg", 1) for name in "abcd").images
print([image.class_name for image in images])
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024)
"""
    said, peak = subprocess.check_output(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, text=True
    ).splitlines()
    assert said == "['a', 'b', 'c', 'd']"
    assert int(peak) < 300  # MiB


PARTS = st.sampled_from(["train", "val", "a", "A", "ä", "a\u0308", ".x", "", "..", "b"])


@given(st.lists(st.one_of(st.text(), st.lists(PARTS, max_size=4).map("/".join)), max_size=8))
def test_random_names_are_read_or_refused(names):
    try:
        images = read_layout(members(*names)).images
    except UserError:
        return
    assert {image.name for image in images} <= set(names)
    assert all(isinstance(image, ImageMember) for image in images)


@pytest.mark.parametrize(
    ("archive", "classes", "splits"),
    [
        ("cats_and_dogs_filtered.zip", {"cats", "dogs"}, {"train", "validation"}),
        ("horse-or-human.zip", {"horses", "humans"}, {None}),
        ("validation-horse-or-human.zip", {"horses", "humans"}, {None}),
        ("rps.zip", {"paper", "rock", "scissors"}, {None}),
        ("rps-test-set.zip", {"paper", "rock", "scissors"}, {None}),
    ],
)
def test_real_archives_have_their_classes(archive, classes, splits, convnet_data):
    with open_archive(convnet_data / archive) as opened:
        layout = read_layout(opened.members(), opened.folders())
    assert {image.class_name for image in layout.images} == classes
    assert {image.official_split for image in layout.images} == splits
    assert layout.outside == layout.empty_classes == []
