import argparse
import difflib
import hashlib
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnet.cli import backbone_choice
from convnet.cli.init import add_arguments, initialise, run
from convnet.data.manifest import build_manifest
from convnet.data.sources import bring_sources
from convnet.params.load import load_params
from convnet.params.recipe import resolve
from convnet.pipeline.plans import plans_of
from convnet.system.errors import UserError
from convnet.system.files import read_json
from helpers.tiny_dataset import encoded, picture, write_archive
from helpers.tiny_study import PROJECT

WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
ODD_NAMES = ["Bäume.png", "with space.png", 'quo"te.png', "new\nline.png", "=1+1.png", os.fsdecode(b"latin-\xe9.png")]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the committed params.yaml, whose published weights are a local file that is not there."""
    folder = tmp_path / "project"
    folder.mkdir()
    text = (PROJECT / "params.yaml").read_text("utf-8")
    (folder / "params.yaml").write_text(text.replace(WEIGHTS, f"file://{tmp_path}/weights/"), "utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CONVNET_DATA", raising=False)
    monkeypatch.setattr(backbone_choice, "measure_features", lambda *_: 1.0)  # tests/features measures
    return folder


def write_photos(folder: Path, cats: int = 30, dogs: int = 30, size: tuple[int, int] = (130, 100)) -> Path:
    for number, name in enumerate(["cats"] * cats + ["dogs"] * dogs):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{number:03}.png").write_bytes(encoded(picture(number, size)))
    return folder


def added_and_removed(before: str, after: str) -> tuple[list[str], list[str]]:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return [x[1:] for x in lines if x.startswith("+")], [x[1:] for x in lines if x.startswith("-")]


def test_entry_is_added_and_every_other_line_stays(project: Path) -> None:
    before = (project / "params.yaml").read_text("utf-8")
    text = initialise(write_photos(project / "photos"))
    added, removed = added_and_removed(before, (project / "params.yaml").read_text("utf-8"))
    split = (
        "  split: {} # or folds: every image is tested once, by one seed; or resplit: every seed draws its own split"
    )
    assert removed == ["  - pets", "  - hands", split.format("fixed")]
    assert added[:6] == [
        *("  - photos", "  - 3", "  - 4", split.format("folds")),
        *("  photos:", "    kind: photographs"),
    ]
    dataset = load_params().datasets["photos"]
    assert (dataset.source.folder, dataset.image_size, dataset.backbone) == ("photos", (100, 100), "compact")
    assert resolve(load_params(), "photos", "transfer").pooling == "flatten"
    assert "photos: 60 usable images in 2 classes" in text
    assert "no problems found" in text
    assert text.endswith("next: dvc repro\n")


def test_time_of_the_study_is_forecast_and_trials_that_fit_in_are_proposed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convnet.engine.forecast._peak", lambda: 3e10)  # however busy this machine is
    photos = write_photos(project / "photos", cats=6, dogs=6)
    for split in ("train", "validation", "test"):  # official parts exclude folds, and folds exclude tuning
        shutil.copytree(photos, project / "parts" / split)
    text = initialise(project / "parts")
    jobs = len(load_params().run.variants) * 5
    found = re.search(rf"time for training: {jobs} jobs, at most roughly [\d.]+ (s|min) on this machine\n", text)
    assert found, text
    assert re.search(r"equal tuning is off: 16 trials of each variant take .* set tuning.trials to 16\n", text)
    # Where tuning takes longer than the study and the budget, fewer trials are proposed, or none.
    monkeypatch.setattr("convnet.cli.study_time.LEAST_BUDGET", 0.0)
    assert "set tuning.trials to 4\n" in initialise(project / "parts")
    monkeypatch.setattr("convnet.cli.study_time.TRIALS", (16, 8))
    assert "tuning" not in initialise(project / "parts")


def test_fine_tuning_of_hours_is_left_out_and_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convnet.engine.forecast._peak", lambda: 3e10)  # however busy this machine is
    assert "fine_tune_variants" not in initialise(write_photos(project / "photos"))
    assert load_params().run.fine_tune_variants == ("fine_tune",)
    monkeypatch.setattr("convnet.cli.study_time.LONGEST_FINE_TUNING", 0.0)
    kept = initialise(write_photos(project / "more"), keep=True)  # the run is that of the other datasets too
    assert "fine_tune_variants" not in kept
    text = initialise(write_photos(project / "slow"))
    assert re.search(r"run.fine_tune_variants is empty: fine_tune takes up to .*; to train it, name it there\n", text)
    assert load_params().run.fine_tune_variants == ()


def test_a_small_test_set_becomes_folds_and_five_seeds(project: Path) -> None:
    text = initialise(write_photos(project / "photos"))
    run = load_params().run
    assert (run.split, run.seeds) == ("folds", (0, 1, 2, 3, 4))
    assert "run.split is folds: 12 test images decide little, and with 5 folds every image is tested once" in text
    assert "run.seeds is 0, 1, 2, 3, 4" in text
    # A second look at the same folder keeps the user's choice.
    write_photos(project / "photos", cats=31)
    path = project / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("split: folds", "split: fixed"), "utf-8")
    initialise(project / "photos")
    assert load_params().run.split == "fixed"


def test_folds_are_proposed_below_two_hundred_test_images(project: Path) -> None:
    photos = write_photos(project / "photos", cats=500, dogs=495, size=(12, 12))
    initialise(photos)
    assert load_params().run.split == "folds"
    # 1,000 images leave 200 for the test.
    more = write_photos(project / "more", cats=500, dogs=500, size=(12, 12))
    shutil.copy(PROJECT / "params.yaml", "params.yaml")
    assert "folds" not in initialise(more)
    assert load_params().run.split == "fixed"
    assert len(load_params().run.seeds) == 5


def test_an_own_division_stays_without_folds(project: Path) -> None:
    write_photos(project / "photos" / "train", 12, 12)
    write_photos(project / "photos" / "test", 6, 6, size=(101, 101))
    initialise(project / "photos")
    assert load_params().run.split == "fixed"


def test_other_datasets_keep_their_seeds_and_their_split(project: Path) -> None:
    text = initialise(write_photos(project / "photos"), keep=True)
    run = load_params().run
    assert (run.datasets, run.split, run.seeds) == (("pets", "hands", "photos"), "fixed", (0, 1, 2))
    assert "to use them, set run.split to folds" in text


def test_classes_with_fewer_images_than_folds_have_no_folds(project: Path) -> None:
    initialise(write_photos(project / "photos", cats=30, dogs=4))
    assert load_params().run.split == "fixed"


def test_every_variant_of_the_run_has_a_recipe_whose_batch_fits(project: Path) -> None:
    initialise(write_photos(project / "photos", cats=9, dogs=9))
    params = load_params()
    assert {resolve(params, "photos", variant).fit.batch_size for variant in params.run.variants} == {4}


def test_large_dataset_keeps_the_batch_of_the_course(project: Path) -> None:
    initialise(write_photos(project / "photos", cats=170, dogs=170, size=(40, 40)))
    assert resolve(load_params(), "photos", "baseline").fit.batch_size == 20


@pytest.mark.parametrize(("size", "side"), [((400, 300), 150), ((20, 16), 32), ((97, 130), 97)])
def test_image_size_lies_between_the_backbone_and_the_course(project: Path, size: tuple[int, int], side: int) -> None:
    initialise(write_photos(project / "photos", 6, 6, size))
    assert load_params().datasets["photos"].image_size == (side, side)


def test_fingerprint_is_that_of_the_archive_which_download_packs(project: Path) -> None:
    initialise(write_photos(project / "photos", 6, 6))
    dataset = load_params().datasets["photos"]
    bring_sources("photos", dataset, project / "archives")
    assert read_json(project / "archives" / "sources.json")["sources"][0]["sha256"] == dataset.source.fingerprint
    assert [path.name for path in (project / ".downloads").iterdir()] == [], "the look leaves nothing behind"


def test_fingerprint_of_an_archive_is_its_digest(project: Path, tmp_path: Path) -> None:
    members = {f"{name}/{i}.png": encoded(picture(i + 50 * n)) for n, name in enumerate(("a", "b")) for i in range(6)}
    write_archive(tmp_path / "Meine Fotos.zip", members)
    initialise(tmp_path / "Meine Fotos.zip")
    source = load_params().datasets["meine_fotos"].source
    assert source.folder == str(tmp_path / "Meine Fotos.zip")
    assert source.fingerprint == hashlib.sha256((tmp_path / "Meine Fotos.zip").read_bytes()).hexdigest()


def test_second_look_at_the_same_folder_changes_nothing(project: Path) -> None:
    initialise(write_photos(project / "photos", 6, 6))
    before = (project / "params.yaml").read_bytes()
    assert "the images are the same" in initialise(project / "photos")
    assert (project / "params.yaml").read_bytes() == before


def test_changed_folder_gets_a_new_fingerprint_and_keeps_the_users_settings(project: Path) -> None:
    initialise(write_photos(project / "photos", 6, 6))
    path = project / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("    - 100\n    - 100\n", "    - 64\n    - 80\n", 1), "utf-8")
    before = path.read_text("utf-8")
    write_photos(project / "photos", 7, 6)
    assert "its fingerprint is new" in initialise(project / "photos")
    added, removed = added_and_removed(before, path.read_text("utf-8"))
    # A fingerprint has a line of its own, as DVC folds long lines.
    assert [len(line.strip()) for line in added + removed] == [64, 64]
    assert load_params().datasets["photos"].image_size == (64, 80)


@pytest.mark.parametrize(
    ("wishes", "fault"),
    [
        ({"rendered": True}, r"--rendered would change datasets\.photos, which is in params\.yaml already"),
        ({"backbone": "mobilenet_v2"}, r"--backbone mobilenet_v2 would change datasets\.photos"),
    ],
)
def test_option_that_a_known_dataset_contradicts_is_refused(project: Path, wishes: dict, fault: str) -> None:
    initialise(write_photos(project / "photos", 6, 6))
    before = (project / "params.yaml").read_bytes()
    write_photos(project / "photos", 7, 6)  # else there would be nothing to write
    with pytest.raises(UserError, match=fault):
        initialise(project / "photos", **wishes)
    assert (project / "params.yaml").read_bytes() == before


def test_same_command_again_takes_changed_pictures_in(project: Path) -> None:
    wishes = {"rendered": True, "backbone": "compact"}
    initialise(write_photos(project / "photos", 6, 6), **wishes)
    assert "its fingerprint is new" in initialise(write_photos(project / "photos", 7, 6), **wishes)
    assert load_params().datasets["photos"].kind == "rendered"


def test_touched_folder_keeps_its_fingerprint(project: Path) -> None:
    photos = write_photos(project / "photos", 6, 6)
    initialise(photos)
    for file in photos.rglob("*.png"):
        os.utime(file, (1, 1))
    assert "the images are the same" in initialise(photos)


def test_keep_adds_to_the_run(project: Path) -> None:
    initialise(write_photos(project / "photos", 6, 6), keep=True)
    assert load_params().run.datasets == ("pets", "hands", "photos")


def test_problems_are_named(project: Path) -> None:
    photos = write_photos(project / "photos", 25, 6)
    (photos / "cats" / "bad.jpg").write_text("no image")
    (photos / "cats" / "lone.png").write_bytes(encoded(picture(99)))
    shutil.copy(photos / "cats" / "000.png", photos / "dogs" / "copy.png")
    text = initialise(photos)
    assert "1 file is skipped: cats/bad.jpg: text file, not an image" in text
    assert "fewer than 20 images are too small to learn or test: dogs (7)" in text
    assert "the classes are unequal (26 of cats, 7 of dogs)" in text
    assert "1 pairs show the same image, for example cats/000.png and dogs/copy.png" in text
    assert "1 pairs have two labels, the first is cats/000.png and dogs/copy.png" in text


def test_remarks_are_printed(project: Path) -> None:
    photos = write_photos(project / "photos", 25, 0)
    (photos / "dogs").mkdir()
    for number in range(25):
        (photos / "dogs" / f"{number}.jpg").write_bytes(encoded(picture(50 + number, (130, 100)), "JPEG"))
    text = initialise(photos)
    assert "remarks:\n  only class 'dogs' has the format JPEG" in text
    assert "no problems" in text


@pytest.mark.parametrize("common", ["", "  grey_range: auto\n"])
def test_grey_range_that_auto_chose_is_printed_and_written(project: Path, common: str) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("images:\n", f"images:\n{common}", 1), "utf-8")
    for name in ("normal", "opacity"):
        (project / "xrays" / name).mkdir(parents=True)
        for number in range(6):
            grey = np.asarray(picture(number + 50 * (name == "opacity")).convert("L")).astype(np.uint16)
            values = grey.astype(int) * 4000 // int(grey.max()) + 95
            (project / "xrays" / name / f"{number}.png").write_bytes(encoded(Image.fromarray(values.astype(np.uint16))))
    lines = [line for line in initialise(project / "xrays").splitlines() if "become 0 to 255" in line]
    assert len(lines) == 1
    assert lines[0].startswith("  16-bit grey values ")
    assert lines[0].endswith(" to 4,095 become 0 to 255")
    assert load_params().of_dataset("images", "xrays").grey_range == "auto"


@pytest.mark.parametrize(
    ("sizes", "resize", "reason"),
    [
        (
            [(130, 100), (100, 100)],
            "stretch",
            "is 1.00 to 1.30 in nine of ten images, so all are distorted nearly alike",
        ),
        ([(130, 100), (100, 130)], "crop", "would distort them unequally; the middle keeps 77% or more"),
        ([(300, 100), (100, 130)], "pad", "and cropping would cut off too much"),
        ([(100, 300), (100, 303)], "stretch", "so all are distorted nearly alike"),
    ],
)
def test_resize_is_chosen_by_the_spread_of_proportions(
    project: Path, sizes: list[tuple[int, int]], resize: str, reason: str
) -> None:
    write_photos(project / "photos", 12, 12)
    for number, file in enumerate(sorted((project / "photos").rglob("*.png"))):
        file.write_bytes(encoded(picture(number, sizes[number % 2])))
    text = initialise(project / "photos")
    assert f"  resize {resize}: width divided by height " in text
    assert reason in text
    params = load_params()
    assert params.of_dataset("images", "photos").resize == resize
    assert params.images.resize == "stretch"
    plans = plans_of(params, "photos")
    assert plans["split"]["images"]["resize"] == plans["prepare"]["images"]["resize"] == resize


def test_common_resize_of_the_user_stays(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("images:\n", "images:\n  resize: crop\n", 1), "utf-8")
    assert "  resize crop: as images.resize in params.yaml" in initialise(write_photos(project / "photos", 6, 6))


def test_odd_names_are_taken_and_printed_on_one_line_each(project: Path) -> None:
    photos = project / 'Häuser & "Gärten"'
    for number, name in enumerate(ODD_NAMES * 2):
        folder = photos / ("Häuser" if number < len(ODD_NAMES) else "=Gärten\n")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture(number)))
    text = initialise(photos)
    assert "names percent-escaped: 8, for example" in text
    assert all(line.isprintable() for line in text.splitlines())
    params = load_params()
    assert params.run.datasets == ("hauser_garten",)
    assert params.datasets["hauser_garten"].source.folder == 'Häuser & "Gärten"'
    bring_sources("hauser_garten", params.datasets["hauser_garten"], project / "archives")


def test_photographs_get_the_courses_backbone_where_its_weights_are(project: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    text = initialise(write_photos(project / "photos", 6, 6))
    params = load_params()
    assert params.datasets["photos"].backbone == "inception_v3"
    assert resolve(params, "photos", "transfer").pooling == "average"
    assert "its weights are a local file" in text


def test_weights_are_looked_for_beside_the_data_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("weights", "datasets"):
        (tmp_path / "real" / name).mkdir(parents=True)
    (tmp_path / "real" / "weights" / "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    monkeypatch.setenv("CONVNET_DATA", str(tmp_path / "real" / "datasets"))
    assert "in the folder that CONVNET_DATA names" in initialise(write_photos(project / "photos", 6, 6))


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"rendered": True}, "trained here on rendered images, as these are"),
        ({}, "neither on this machine nor reachable"),
        ({"backbone": "mobilenet_v2"}, "as asked"),
    ],
)
def test_reason_for_the_backbone_is_told(project: Path, wishes: dict, reason: str) -> None:
    assert reason in initialise(write_photos(project / "photos", 6, 6), **wishes)
    assert load_params().datasets["photos"].kind == ("rendered" if "rendered" in wishes else "photographs")


def test_small_pictures_do_not_get_a_backbone_that_would_enlarge_them(project: Path) -> None:
    assert "needs 75 pixels a side" in initialise(write_photos(project / "photos", 6, 6, (60, 60)))


def test_name_of_another_dataset_is_not_taken_over(project: Path) -> None:
    with pytest.raises(UserError, match=r"datasets\.pets in params\.yaml is another dataset"):
        initialise(write_photos(project / "photos", 6, 6), name="pets")


@pytest.mark.parametrize("name", ["best", "size", "a b", "../up", "-x", "12", "Photos"])
def test_name_that_a_path_or_dvc_cannot_bear_is_refused(project: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a dataset"):
        initialise(write_photos(project / "photos", 6, 6), name=name)


def test_faults_leave_params_as_they_were(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    (project / "one").mkdir()
    write_photos(project / "one", cats=6, dogs=0)
    faults = {
        "does not exist": (project / "nothing", None),
        "at least two classes are needed": (project / "one", None),
        "the backbone 'vgg' is unknown": (write_photos(project / "photos", 6, 6), "vgg"),
    }
    for sentence, (source, backbone) in faults.items():
        with pytest.raises(UserError, match=sentence):
            initialise(source, backbone=backbone)
    assert (project / "params.yaml").read_bytes() == before


def test_outside_of_a_project_the_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"params.yaml is missing; run this command in the project's folder"):
        initialise(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_that_changed_since_init_stop_the_download(project: Path, tmp_path: Path, packed: bool) -> None:
    photos = source = write_photos(project / "photos", 6, 6)
    if packed:
        source = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", photos))
    initialise(source)
    write_photos(photos, 7, 6)
    if packed:
        shutil.make_archive(str(tmp_path / "photos"), "zip", photos)
    with pytest.raises(UserError, match="has changed since `convnet init`: run it again"):
        bring_sources("photos", load_params().datasets["photos"], project / "archives")
    initialise(source)
    bring_sources("photos", load_params().datasets["photos"], project / "archives")


def test_own_images_train_to_a_plateau_and_every_variant_has_the_same_cap(project: Path) -> None:
    initialise(write_photos(project / "photos", 6, 6))
    params = load_params()
    fits = [resolve(params, "photos", variant).fit for variant in params.run.variants]
    assert {(fit.length, fit.patience, fit.epochs) for fit in fits} == {("plateau", 20, 100)}


@pytest.mark.parametrize(
    ("course", "reason"),
    [
        (False, "  length plateau: until the validation loss has not improved for 20 epochs, at most 100 epochs\n"),
        (True, "  recipe course: fixed numbers of epochs, 15 for variants that train on pixels\n"),
    ],
)
def test_length_is_named_among_the_reasons(project: Path, course: bool, reason: str) -> None:
    assert reason in initialise(write_photos(project / "photos", 6, 6), course=course)


def test_course_keeps_fixed_numbers_of_epochs(project: Path) -> None:
    initialise(write_photos(project / "photos", 6, 6), course=True)
    params = load_params()
    assert params.datasets["photos"].recipe == "course"
    fits = [resolve(params, "photos", variant).fit for variant in ("baseline", "transfer", "fine_tune")]
    assert [(fit.length, fit.epochs) for fit in fits] == [("fixed", 15), ("fixed", 20), ("fixed", 3)]
    initialise(project / "photos", course=True)


def test_course_would_change_a_known_dataset(project: Path) -> None:
    initialise(write_photos(project / "photos", 6, 6))
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=r"--course would change datasets\.photos, which is in params\.yaml already"):
        initialise(project / "photos", course=True)
    assert (project / "params.yaml").read_bytes() == before


def test_common_early_stopping_or_schedule_stays(project: Path) -> None:
    """They and a plateau exclude each other; the user has chosen."""
    path = project / "params.yaml"
    text = path.read_text("utf-8").replace(
        "learning_rate_schedule: constant # or", "learning_rate_schedule: cosine # or"
    )
    path.write_text(text.replace("  epochs: 3\n", "  epochs: 4\n"), "utf-8")
    initialise(write_photos(project / "photos", 6, 6))
    fits = [resolve(load_params(), "photos", variant).fit for variant in ("baseline", "transfer", "fine_tune")]
    assert [(fit.length, fit.epochs) for fit in fits] == [("fixed", 40), ("plateau", 100), ("plateau", 100)]


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(list(given))


def counts(dataset: str, project: Path) -> dict[str, int]:
    """Images per class as the download and split stages read them."""
    bring_sources(dataset, load_params().datasets[dataset], project / "archives")
    manifest, _ = build_manifest(project / "archives", limits=load_params().images, split=load_params().split)
    used = manifest[manifest["verdict"] == "accepted"]
    return used["class"].value_counts().to_dict()


def write_flat(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture(number)))
    return folder


def test_labels_in_names_are_proposed_then_read_by_all_stages(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"train/{label}.{n}.png" for label in ("cat", "dog") for n in range(6)] + ["test1/1.png", "test1/2.png"]
    photos = write_flat(project / "photos", names)
    with pytest.raises(UserError, match=r"labels cat \(6\), dog \(6\): add --label-from-name '\{label\}\.\{number\}'"):
        run(options(str(photos)))
    run(options(str(photos), "--label-from-name", "{label}.{number}"))
    assert "the part 'test1' has no labels; its 2 files are left out" in capsys.readouterr().out
    assert counts("photos", project) == {"cat": 6, "dog": 6}


def test_table_of_labels_is_used_by_all_stages_and_checked(project: Path) -> None:
    photos = write_flat(project / "photos", [f"{n:02}.png" for n in range(20)])
    table = project / "breeds.csv"
    rows = [f"{n:02},{'pug' if n % 2 else 'chow'}" for n in range(18)]
    table.write_text("\n".join(["id,breed", *rows]))
    run(
        options(
            str(photos), "--labels", "breeds.csv", "--file-column", "id", "--label-column", "breed", "--suffix", ".png"
        )
    )
    assert load_params().datasets["photos"].source.labels.table == "breeds.csv"
    assert counts("photos", project) == {"pug": 9, "chow": 9}
    table.write_text(table.read_text().replace("01,pug", "01,chow"))
    with pytest.raises(UserError, match=r"the label table breeds\.csv has changed: run `convnet init` again"):
        counts("photos", project)
    run(options(str(photos)))
    assert counts("photos", project) == {"pug": 8, "chow": 10}
    table.unlink()
    with pytest.raises(UserError, match=r"the label table breeds\.csv is missing"):
        counts("photos", project)


def test_written_labels_are_corrected_by_hand(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = write_photos(project / "photos", 8, 8, (20, 20))
    run(options(str(photos), "--write-labels", "labels.csv"))
    table = project / "labels.csv"
    assert table.read_text().splitlines()[:2] == ["file,label", "cats/000.png,cats"]
    assert counts("photos", project) == {"cats": 8, "dogs": 8}
    table.write_text(
        table.read_text().replace("cats/000.png,cats", "cats/000.png,dogs").replace("001.png,cats", "001.png,drop")
    )
    run(options(str(photos)))
    assert "1 files of the table are dropped by the table, the first is 'cats/001.png'" in capsys.readouterr().out
    assert counts("photos", project) == {"cats": 6, "dogs": 9}


@pytest.mark.parametrize(
    ("given", "groups"),
    [
        (["--group-by-folder"], 6),
        (["--ignore", "p5", "--group-by-folder"], 5),
        (["--group-from-name", "{group}/{a}/{b}"], 6),
    ],
)
def test_groups_and_ignored_names_reach_the_split(project: Path, given: list[str], groups: int) -> None:
    names = [f"p{n}/{label}/{i}.png" for n in range(6) for label in ("well", "ill") for i in range(2)]
    photos = write_flat(project / "photos", names)
    with pytest.raises(UserError, match="add --group-by-folder"):
        run(options(str(photos)))
    if "--group-from-name" in given:
        given = [*given, "--label-from-name", "{folder}/{label}/{file}"]
    run(options(str(photos), *given))
    bring_sources("photos", load_params().datasets["photos"], project / "archives")
    manifest, summary = build_manifest(project / "archives", limits=load_params().images, split=load_params().split)
    assert summary["groups"] == groups
    assert (manifest.groupby("group_name")["split"].nunique() == 1).all()


def test_options_of_a_known_dataset_replace_its_reading(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = write_flat(project / "photos", [f"{label}_{n}.png" for label in ("cat", "dog") for n in range(6)])
    run(options(str(photos), "--label-from-name", "{label}_{number}"))
    (project / "table.csv").write_text("\n".join(["file,label", *(f"cat_{n}.png,{'ab'[n % 2]}" for n in range(6))]))
    run(options(str(photos), "--labels", "table.csv"))
    assert "its labels or groups are new" in capsys.readouterr().out
    assert counts("photos", project) == {"a": 3, "b": 3}
    with pytest.raises(UserError, match="exclude each other"):
        run(options(str(photos), "--labels", "table.csv", "--label-from-name", "{label}_{number}"))


def test_queued_experiment_reads_the_folder_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    initialise(write_photos(project / "photos", 6, 6))
    assert load_params().datasets["photos"].source.folder == "photos"
    copy = project / ".dvc/tmp/exps/tmp1"
    copy.mkdir(parents=True)
    shutil.copy(project / "params.yaml", copy)
    monkeypatch.chdir(copy)
    assert counts("photos", copy) == {"cats": 6, "dogs": 6}


def test_problems_are_grouped_by_reason(project: Path) -> None:
    photos = write_photos(project / "photos", 6, 6)
    for number in range(7):
        (photos / "cats" / f"small{number}.png").write_bytes(encoded(picture(50 + number, (3 + number % 2, 90))))
    (photos / "dogs" / "bad.jpg").write_text("no image")
    text = initialise(photos)
    assert "  7 files are skipped, the first: cats/small0.png: " in text
    assert "  1 file is skipped: dogs/bad.jpg: text file, not an image" in text
