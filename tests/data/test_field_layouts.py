"""Folders as people have them: every situation is read rightly, or refused with the option to type."""

import re
from collections import Counter

import pytest

from convnet.data.class_folders import Layout, Reading, read_layout
from convnet.data.label_names import NamePattern, propose_pattern
from convnet.data.member_names import Member, is_clutter
from convnet.data.part_names import part_of
from convnet.system.errors import UserError

CLASSES = ("cat", "dog")


def read(names: list[str], reading: Reading | None = None) -> Layout:
    return read_layout([Member(name, 1) for name in names], reading=reading or Reading())


def images(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{number}.jpg" for folder in folders for number in range(count)]


def labelled(pattern: str) -> Reading:
    return Reading(label=NamePattern.parse(pattern, "label", "--label-from-name"))


def parts_of(layout: Layout) -> dict[str | None, set[str]]:
    found: dict[str | None, set[str]] = {}
    for image in layout.images:
        found.setdefault(image.official_split, set()).add(image.class_name)
    return found


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "train") for name in (
            "train", "training", "train set", "training_set", "trainset", "Training Data", "TrainSet", "seg_train",
            "horses-train", "train_images", "train-cats", "Train1", "rps-train-set",
        )),
        *((name, "validation") for name in ("validation", "val", "valid", "dev", "Eval", "valid_set", "val2017")),
        *((name, "test") for name in ("test", "testing", "holdout", "hold-out", "rps-test-set", "Test Data", "test1")),
        *((name, "unlabelled") for name in ("pred", "predict", "seg_pred", "unlabelled", "unlabeled_images")),
        *((name, None) for name in ("cats", "constraint", "attest", "valley", "trains", "device")),
    ],
)  # fmt: skip
def test_part_is_read_from_a_name(name: str, part: str | None) -> None:
    found = part_of(name)
    assert (found and found[0]) == part


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Training Data", "Validation Data", "Test Data"),
        ("seg_train", "seg_dev", "seg_test"),
        ("training_set/training_set", "valid_set/valid_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
        ("train/images", "val/images", "holdout/images"),
        ("rps", "rps-validation", "rps-test-set"),
        ("horse-or-human", "validation-horse-or-human", "test-horse-or-human"),
        ("train", "train-validation", "a-test"),
    ],
)
@pytest.mark.parametrize("around", ["", "archive/data/"])
def test_division_is_read_from_folders(train: str, validation: str, test: str, around: str) -> None:
    names = images(*(f"{around}{part}/{label}" for part in (train, validation, test) for label in CLASSES))
    assert parts_of(read(names)) == {"train": {*CLASSES}, "validation": {*CLASSES}, "test": {*CLASSES}}


@pytest.mark.parametrize(
    "names",
    [
        images("bus", "train"),
        images("steam-train", "freight-train"),
        images("tube", "tube-test"),
        images("cats/black", "cats/white", "dogs/brown", "dogs/spotted"),
        images("train/steam", "train/diesel", "bus/red", "bus/double"),
        images("cats/photos", "dogs/photos"),
    ],
)
def test_classes_that_only_look_like_parts_stay_classes(names: list[str]) -> None:
    assert parts_of(read(names)) == {None: {name.split("/")[0] for name in names}}


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        (images("test/unknown"), "test"),
        (images("test"), "test"),
        (images("test1"), "test1"),
        (images("pred"), "pred"),
        (images("unlabelled/images"), "unlabelled"),
    ],
)
def test_part_without_labels_is_left_out_and_counted(extra: list[str], part: str) -> None:
    layout = read(images("train/cat", "train/dog") + extra)
    assert parts_of(layout) == {"train": {*CLASSES}}
    assert layout.notes == [f"the part {part!r} has no labels; its 3 files are left out"]
    assert layout.outside == []


def test_class_and_part_in_one_folder_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"name a class and a part at once: move 'cats_test' to 'test/cats'"):
        read(images("cats_train", "cats_test", "dogs_train", "dogs_test"))


PATIENTS = [f"patient_{number}/{label}" for number in range(4) for label in ("benign", "malignant")]


@pytest.mark.parametrize(
    "folders",
    [
        PATIENTS,
        PATIENTS[:-1],
        [*PATIENTS, "patient_3/odd"],
        [f"fold{n}/{label}" for n in range(2) for label in CLASSES],
        [f"all/camera {n}/{label}" for n in "AB" for label in CLASSES],
        [f"train/p{n}/{label}" for n in range(3) for label in CLASSES]
        + [f"test/q{n}/{label}" for n in range(3) for label in CLASSES],
    ],
)
def test_same_folders_in_all_folders_are_refused_with_both_readings(folders: list[str]) -> None:
    with pytest.raises(UserError, match=r"are the classes, add --group-by-folder .* add --label-from-name '\{label\}/"):
        read(images(*folders))


def test_outer_folders_are_groups_when_asked() -> None:
    layout = read(images(*PATIENTS), Reading(group_by_folder=True))
    assert parts_of(layout) == {None: {"benign", "malignant"}}
    assert Counter(image.group for image in layout.images) == {f"patient_{number}": 6 for number in range(4)}


def test_groups_inside_a_division() -> None:
    folders = [f"{part}/{part}_{n}/{label}" for part in ("train", "test") for n in range(3) for label in CLASSES]
    layout = read(images(*folders), Reading(group_by_folder=True))
    assert parts_of(layout) == {"train": {*CLASSES}, "test": {*CLASSES}}
    assert {image.group for image in layout.images} == {f"{p}_{n}" for p in ("train", "test") for n in range(3)}


@pytest.mark.parametrize(
    "folders",
    [
        [f"{label}/{label}_clip{n}" for label in CLASSES for n in range(4)],
        [f"{label}/house{n}" for label in CLASSES for n in range(4)],
    ],
)
def test_inner_folders_are_groups_where_the_outer_ones_are_classes(folders: list[str]) -> None:
    layout = read(images(*folders), Reading(group_by_folder=True))
    assert parts_of(layout) == {None: {*CLASSES}}
    assert {image.group for image in layout.images} == {folder.split("/")[1] for folder in folders}


def test_group_by_folder_without_folders_is_refused() -> None:
    with pytest.raises(UserError, match="--group-by-folder finds no folders"):
        read(images("cat", "dog"), Reading(group_by_folder=True))


def test_pattern_of_a_path_decides_between_two_readings() -> None:
    layout = read(images(*PATIENTS), labelled("{label}/{folder}/{file}"))
    assert parts_of(layout) == {None: {f"patient_{number}" for number in range(4)}}
    layout = read(images(*PATIENTS), labelled("{group}/{label}/{file}"))
    assert parts_of(layout) == {None: {"benign", "malignant"}}
    assert {image.group for image in layout.images} == {f"patient_{number}" for number in range(4)}


@pytest.mark.parametrize(
    ("folders", "ignore"),
    [
        (["cat/images", "cat/masks", "dog/images", "dog/masks"], "masks"),
        (["images/cat", "images/dog", "masks/cat", "masks/dog"], "masks"),
        (["cat/img", "cat/ground truth", "dog/img", "dog/ground truth"], "ground truth"),
    ],
)
def test_masks_are_refused_and_left_out_when_asked(folders: list[str], ignore: str) -> None:
    with pytest.raises(UserError, match=f"seems to hold masks: leave them out with --ignore '?{ignore}'?$"):
        read(images(*folders))
    layout = read(images(*folders), Reading(ignore=(ignore,)))
    assert parts_of(layout) == {None: {*CLASSES}}
    assert len(layout.images) == 6
    assert layout.notes == ["6 files left out by --ignore"]


def test_masks_beside_their_images_are_refused_and_left_out_when_asked() -> None:
    names = [f"{label}/{label} ({n}){mask}.png" for label in CLASSES for n in range(3) for mask in ("", "_mask")]
    with pytest.raises(UserError, match=r"^6 files seem to be masks .* --ignore '\*_mask\*'$"):
        read(names)
    assert len(read(names, Reading(ignore=("*_mask*",))).images) == 6


@pytest.mark.parametrize("around", ["", "train/"])
def test_folder_that_repeats_the_classes_is_refused_by_name(around: str) -> None:
    folders = [f"{around}{name}" for name in (*CLASSES, "bird", "copy", "copy/cat", "copy/dog", "copy/bird")]
    with pytest.raises(UserError, match=r"'copy' repeats the classes beside it \(bird, cat, dog\): .* --ignore copy"):
        read(images(*folders))
    assert len(read(images(*folders), Reading(ignore=("copy",))).images) == 9


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir", "@Recycle", "#recycle", "$RECYCLE.BIN", "lost+found", "System Volume Information",
        "1.jpg:Zone.Identifier", "IMG_1.AAE", "IMG_1.jpg.json", "IMG_1.jpg.supplemental-metadata.json", "1.xmp",
    ],
)  # fmt: skip
def test_files_of_systems_and_services_are_clutter(name: str) -> None:
    assert is_clutter(name)
    names = [f"cat/{name}", *images("cat", "dog"), f"{name}/1.jpg"]
    assert [image.name for image in read(names).images] == images("cat", "dog")


@pytest.mark.parametrize("twin", ["cat ", " cat", "cat\u200b", "c\u00adat", "cat\u00a0", "\ufeffcat"])
def test_class_names_that_look_alike_are_refused(twin: str) -> None:
    with pytest.raises(UserError, match="differ only in blanks or invisible characters"):
        read(images("cat", twin, "dog"))
    with pytest.raises(UserError, match="differ only in blanks or invisible characters"):
        read(images("train/cat", "train/dog", f"test/{twin}", "test/dog"))


@pytest.mark.parametrize(
    ("stem", "pattern"),
    [
        ("{label}.{n}", "{label}.{number}"),
        ("{label}_{n:03}", "{label}_{number}"),
        ("american_{label}_{n}", "{label}_{number}"),
        ("{label}-{n}", "{label}-{number}"),
        ("{label} ({n})", "{label} ({number})"),
        ("{label}{n}", "{label}{number}"),
        ("{n:05}_{label}", "{number}_{label}"),
        ("{label}({n})", "{label}({number})"),
        ("{label}__{n}", "{label}__{number}"),
        ("IMG_{n:04}_{label}", "{name}_{number}_{label}"),
    ],
)
def test_labels_in_file_names_are_proposed_and_read(stem: str, pattern: str) -> None:
    names = [f"photos/{stem.format(label=label, n=n)}.jpg" for label in CLASSES for n in range(12)]
    layout = read([*names, "photos/readme.txt"])
    assert f"--label-from-name '{pattern}'" in (layout.proposal or "")
    found = Counter(image.class_name for image in read(names, labelled(pattern)).images)
    assert sorted(found.values()) == [12, 12]


@pytest.mark.parametrize(
    "names",
    [
        ["IMG_0001", "IMG_0002", "IMG_0003"],
        ["a1", "b2", "c3"],
        ["clip0_1", "clip1_1"],
        ["IMG_1", "IMG_2", "DSC_1", "DSC_2"],
        [],
    ],
)
def test_names_without_labels_are_not_proposed(names: list[str]) -> None:
    assert propose_pattern([["photos", f"{name}.jpg"] for name in names]) is None


def test_numbered_test_folder_beside_labelled_names_is_left_out() -> None:
    names = [f"train/{label}.{n}.jpg" for label in CLASSES for n in range(5)] + images("test1")
    assert "{label}.{number}" in (read(names).proposal or "")
    layout = read(names, labelled("{label}.{number}"))
    assert parts_of(layout) == {"train": {*CLASSES}}
    assert layout.notes == ["the part 'test1' has no labels; its 3 files are left out"]


def test_name_that_does_not_fit_the_pattern_is_named() -> None:
    layout = read(["cat.1.jpg", "cat.2.jpg", "dog.1.jpg", "IMG1.jpg"], labelled("{label}.{number}"))
    assert layout.notes == ["1 file names do not fit the pattern, the first is IMG1.jpg"]
    with pytest.raises(UserError, match="no file name fits"):
        read(["IMG1.jpg"], labelled("{label}.{number}"))


def test_group_is_read_from_a_name() -> None:
    reading = Reading(group=NamePattern.parse("{group}_{number}", "group", "--group-from-name"))
    layout = read(
        [f"{label}/{label}_clip{n}_{i}.jpg" for label in CLASSES for n in range(2) for i in range(3)], reading
    )
    assert Counter(image.group for image in layout.images) == {
        f"{label}_clip{n}": 3 for label in CLASSES for n in (0, 1)
    }


@pytest.mark.parametrize("pattern", ["{number}", "{label}_{label}", ""])
def test_pattern_without_its_field_is_refused(pattern: str) -> None:
    with pytest.raises(UserError, match=r"needs \{label\} exactly once"):
        NamePattern.parse(pattern, "label", "--label-from-name")


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (("p1", "p2"), ("ill", "well", "unsure")),
        (("p1", "p2"), ("ill", "well")),
        (("cat", "dog"), ("house 1", "house 2", "house 3")),
        (("monday", "tuesday"), ("cat", "dog", "bird")),
        (("monday", "tuesday"), ("cat", "dog")),
        (("monday", "tuesday", "friday"), ("cat", "dog")),
    ],
)
def test_each_option_that_a_refusal_names_reads_what_it_promises(
    outer: tuple[str, ...], inner: tuple[str, ...]
) -> None:
    names = [f"{a}/{b}/{i}.png" for a in outer for b in inner for i in range(3)]
    with pytest.raises(UserError) as refused:
        read(names)
    promises = re.findall(r"If ('[^.]*') are the classes, add (--\S+)(?: '([^']*)')?", str(refused.value))
    assert [name for _, name, _ in promises].count("--group-by-folder") == 1
    for classes, _, pattern in promises:
        layout = read(names, labelled(pattern) if pattern else Reading(group_by_folder=True))
        assert {image.class_name for image in layout.images} == set(re.findall("'(.*?)'", classes))


@pytest.mark.parametrize("name", ["unlabelled", "Unlabeled", "pred", "predict", "unlabeled_images"])
@pytest.mark.parametrize("around", ["", "train/"])
def test_folder_without_labels_beside_classes_is_left_out(name: str, around: str) -> None:
    beside = images("test/cat", "test/dog") if around else []
    layout = read(images(*(f"{around}{folder}" for folder in (*CLASSES, name))) + beside)
    assert {image.class_name for image in layout.images} == {*CLASSES}
    assert f"the folder {name!r} has no labels; its 3 files are left out" in layout.notes


def test_evaluation_beside_validation_is_the_test_part() -> None:
    layout = read(images(*(f"{part}/{c}" for part in ("Training", "Validation", "Evaluation") for c in CLASSES)))
    assert parts_of(layout) == {"train": {*CLASSES}, "validation": {*CLASSES}, "test": {*CLASSES}}


@pytest.mark.parametrize("name", ["mask_{}", "seg-{}", "{}_gt", "{}-mask"])
def test_masks_are_found_by_the_begin_and_the_end_of_their_names(name: str) -> None:
    names = [f"{c}/{file}.png" for c in CLASSES for i in range(3) for file in (f"img{i}", name.format(f"img{i}"))]
    with pytest.raises(UserError, match=r"6 files seem to be masks .* --ignore '([^']*)'") as refused:
        read(names)
    pattern = str(refused.value).rsplit("--ignore ", 1)[1].strip("'")
    assert Counter(image.class_name for image in read(names, Reading(ignore=(pattern,))).images) == {"cat": 3, "dog": 3}


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("tr", "va", "te"),
        ("TR", "val", "TE"),
        ("trn", "vld", "tst"),
        ("tRaIn", "vAl", "tEsT"),
        ("train", "validate", "held-out"),
        ("1. Train", "2. Valid", "3. Test"),
    ],
)
def test_division_in_other_spellings_is_read(train: str, validation: str, test: str) -> None:
    names = images(*(f"{part}/{label}" for part in (train, validation, test) for label in CLASSES))
    assert parts_of(read(names)) == {"train": {*CLASSES}, "validation": {*CLASSES}, "test": {*CLASSES}}


@pytest.mark.parametrize("train", ["trainval", "train_val", "Training_Validation_Dataset", "data-train-and-val"])
def test_training_and_validation_in_one_folder_are_the_training_part(train: str) -> None:
    test = "data-test" if train.startswith("data") else "test"
    names = images(*(f"{part}/{label}" for part in (train, test) for label in CLASSES))
    assert parts_of(read(names)) == {"train": {*CLASSES}, "test": {*CLASSES}}


def test_two_abbreviations_may_be_languages_and_are_refused_with_both_readings() -> None:
    names = images(*(f"{part}/{label}" for part in ("tr", "te") for label in CLASSES))
    with pytest.raises(UserError, match=r"are parts, name them test, train\. If they are classes, add --label-from"):
        read(names)
    assert parts_of(read(names, labelled("{label}/{folder}/{file}"))) == {None: {"tr", "te"}}


@pytest.mark.parametrize("around", ["", "photos/data/"])
def test_parts_inside_the_class_folders_divide_them(around: str) -> None:
    folders = [f"{around}{label}/{part}" for label in CLASSES for part in ("Training", "Testing", "pred")]
    layout = read(images(*folders))
    assert parts_of(layout) == {"train": {*CLASSES}, "test": {*CLASSES}}
    assert layout.notes == ["the part 'pred' has no labels; its 6 files are left out"]
    assert sorted(image.name for image in layout.images) == sorted(
        name for name in images(*folders) if "/pred/" not in name
    )


@pytest.mark.parametrize("outer", [("split1", "split2"), ("original", "resized"), ("fold_1", "fold_2")])
def test_folders_that_hold_a_division_each_are_refused(outer: tuple[str, ...]) -> None:
    names = images(*(f"{folder}/{part}/{label}" for folder in outer for part in ("train", "test") for label in CLASSES))
    with pytest.raises(
        UserError, match=rf"each hold a division \(test, train\): give one of them, such as '{outer[0]}'"
    ):
        read(names)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cat", "cats"), ("Cat", "cats"), ("box", "boxes"), ("puppy", "puppies"), ("hot-dog", "hot_dog"),
        ("dog", "dog copy"), ("dog", "dog - Copy (2)"), ("dog", "dog (1)"), ("glass", "glasses"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("around", "inside"), [("", ""), ("train/", ""), ("", "/{}_1")])
def test_folders_that_may_be_one_class_are_refused_and_read_when_asked(
    first: str, second: str, around: str, inside: str
) -> None:
    names = images(*(f"{around}{name}{inside.format(name)}" for name in (first, second, "other")))
    with pytest.raises(
        UserError, match=r"may be one class\. If they are, merge them\. If not, add --label-from"
    ) as refused:
        read(names)
    pattern = re.findall(r"--label-from-name '([^']*)'", str(refused.value))[0]
    assert {image.class_name for image in read(names, labelled(pattern)).images} == {first, second, "other"}


@pytest.mark.parametrize(
    "names",
    [("a", "as"), ("1-2", "12"), ("1", "1s"), ("apple 1", "apple 2"), ("type (1)", "type (2)"), ("photo", "copy")],
)
def test_other_short_and_numbered_names_are_two_classes(names: tuple[str, str]) -> None:
    assert parts_of(read(images(*names))) == {None: {*names}}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["cells/ill", "cells/well", "cells/cells/ill", "cells/cells/well"], "repeats the classes beside it"),
        (
            [
                f"xray/{folder}{part}/{label}"
                for folder in ("", "xray/")
                for part in ("train", "test")
                for label in CLASSES
            ],
            "is beside folders of an official split",
        ),
    ],
)
def test_option_for_a_folder_with_the_name_of_the_one_around_it_keeps_the_rest(
    folders: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=f"{message}.*--ignore '?[a-z]+/[a-z]+") as refused:
        read(images(*folders))
    option = str(refused.value).rsplit("--ignore ", 1)[1].strip("'")
    assert len(read(images(*folders), Reading(ignore=(option,))).images) == 3 * len(folders) // 2


@pytest.mark.parametrize("name", ["more.zip", "test.7z", "birds.tar.xz", "val.RAR"])
def test_archives_beside_the_classes_are_counted(name: str) -> None:
    layout = read([*images(*CLASSES), name])
    assert layout.notes == [f"1 archives inside are not opened, the first is {name}: unpack it"]


@pytest.mark.parametrize("folder", ["", "images/"])
def test_table_beside_images_without_classes_is_proposed(folder: str) -> None:
    layout = read([*(f"{folder}{number}.jpg" for number in range(9)), "train.csv", "readme.txt"])
    assert layout.proposal == "train.csv may be a label table: give its path with --labels"


def test_many_class_folders_take_no_time_that_grows_with_the_square() -> None:
    assert len(read([f"{number:05}x/1.jpg" for number in range(20_000)]).images) == 20_000
