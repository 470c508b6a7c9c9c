import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet.params.load import load_params
from convnet.params.recipe import resolve
from convnet.params.schema import Params
from convnet.params.section import Drawn
from convnet.rendering.datasets import RENDERED
from convnet.system.errors import UserError
from helpers import tiny_study as tiny

NAN, INFINITY = float("nan"), float("inf")


def load(folder: Path, key: str, value: Any) -> Params:
    """Load the committed settings with one value changed."""
    settings = tiny.committed()
    tiny.change(settings, key, value)
    return load_settings(folder, settings)


def load_settings(folder: Path, settings: Any) -> Params:
    (folder / "params.yaml").write_text(tiny.as_yaml(settings), "utf-8")
    return load_params(folder / "params.yaml")


def refusal(folder: Path, key: str, value: Any) -> str:
    """Return the one sentence with which a value is refused."""
    with pytest.raises(UserError) as error:
        load(folder, key, value)
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def keys_of(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every dotted key of nested dictionaries and its value."""
    for key, value in settings.items() if isinstance(settings, dict) else ():
        yield f"{prefix}{key}", value
        yield from keys_of(value, f"{prefix}{key}.")


COMMITTED_KEYS = [key for key, _ in keys_of(tiny.committed())]


def test_committed_settings_are_valid() -> None:
    params = load_params(tiny.PROJECT / "params.yaml")
    assert params.run.variants[0] == "baseline"
    assert params.augmentation.rotation == 40.0


def test_no_key_has_a_name_whose_change_dvc_ignores() -> None:
    names = {key.rsplit(".", 1)[-1] for key in COMMITTED_KEYS}
    assert names & {"size", "nfiles"} == set()
    assert "seed" in names


def test_names_of_drawings_are_those_that_can_be_drawn() -> None:
    assert set(get_args(Drawn)) == set(RENDERED)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("training.learningrate", "learning_rate"),
        ("augmentation.rotaton", "rotation"),
        ("fine_tune.trainable_frm", "trainable_from"),
        ("backbones.compact.last_lyer", "last_layer"),
        ("backbones.compact.pretrain.fit.epoch", "epochs"),
        ("datasets.pets.image_sise", "image_size"),
        ("datasets.pets.source.rendered.sed", "seed"),
        ("datasets.pets.training.batchsize", "batch_size"),
        ("trainin", "training"),
        ("variants.dropout.learnig_rate", "learning_rate"),
        ("variants.dropout.filtes", "filters"),
        ("variants.dropout.droput", "dropout"),
        ("variants.augmented.augmentations", "augmentation"),
        ("variants.transfer.poling", "pooling"),
        ("variants.baseline.augmentation.rotaton", "rotation"),
        # What does not run:
        ("variants.larger.learnig_rate", "learning_rate"),
        ("variants.transfer_average.poolin", "pooling"),
        ("datasets.cats_vs_dogs.training.epoch", "epochs"),
        ("datasets.cats_vs_dogs.split.sed", "seed"),
        ("datasets.cats_vs_dogs.network.filter", "filters"),
        ("datasets.cats_vs_dogs.transfer.poling", "pooling"),
        ("datasets.cats_vs_dogs.fine_tune.trainable_frm", "trainable_from"),
    ],
)
def test_mistyped_key_names_the_nearest(tmp_path: Path, key: str, nearest: str) -> None:
    sentence = refusal(tmp_path, key, 1)
    assert f"unknown key {key}" in sentence
    assert f"did you mean '{nearest}'?" in sentence


def test_key_unlike_any_other_lists_the_valid_ones(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, "network.xyz", 1)
    assert "unknown key network.xyz" in sentence
    assert "filters, dense" in sentence


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("training.learning_rate", "1e-3", "'1e-3'"),
        ("training.learning_rate", 0.0, "0.0"),
        ("training.learning_rate", -0.1, "-0.1"),
        ("training.learning_rate", NAN, "nan"),
        ("training.learning_rate", INFINITY, "inf"),
        ("training.learning_rate", None, "None"),
        ("training.batch_size", 0, "0"),
        ("training.batch_size", 2.5, "2.5"),
        ("training.batch_size", "20", "'20'"),
        ("training.batch_size", True, "True"),
        ("training.epochs", 0, "0"),
        ("training.epochs", 10_001, "10001"),
        ("training.optimizer", "adamw", "'adamw'"),
        ("training.early_stopping", 0, "0"),
        ("training.length", "long", "'long'"),
        ("training.patience", 0, "0"),
        ("datasets.pets.recipe", "coarse", "'coarse'"),
        ("training.class_weights", "yes", "'yes'"),
        ("training.class_weights", 1, "1"),
        ("training.labels", "onehot", "'onehot'"),
        ("training.precision", "float16", "'float16'"),
        ("network.filters", [], "[]"),
        ("network.filters", [16, 0], "0"),
        ("network.filters", 16, "16"),
        ("augmentation.rotation", 180.5, "180.5"),
        ("augmentation.zoom", 1.0, "1.0"),
        ("augmentation.shear", -0.2, "-0.2"),
        ("augmentation.fill", "mirror", "'mirror'"),
        ("variants.dropout.dropout", 1.0, "1.0"),
        ("variants.dropout.dropout", -0.1, "-0.1"),
        ("variants.dropout.dropout", NAN, "nan"),
        ("variants.dropout.dropout", "0.5", "'0.5'"),
        ("variants.baseline.augmentation", {1: 2}, "augmentation.1; valid names are rotation"),
        ("variants.baseline.augmentation", 1, "it should be true, false or a mapping of the knobs to change"),
        ("variants.baseline.augmentation.rotation", 180.5, "180.5"),
        ("variants.baseline.augmentation.fill", "mirror", "'mirror'"),
        ("variants.larger.learning_rate", "1e-3", "'1e-3'"),
        ("variants.larger.filters", [16, 0], "0"),
        ("variants.transfer_average.pooling", "max", "'max'"),
        ("datasets.cats_vs_dogs.training.epochs", 0, "0"),
        ("datasets.cats_vs_dogs.split.test", 1.0, "1.0"),
        ("datasets.cats_vs_dogs.network.dense", 0.5, "0.5"),
        ("datasets.cats_vs_dogs.transfer.pooling", "max", "'max'"),
        ("datasets.cats_vs_dogs.fine_tune.epochs", "3", "'3'"),
        ("datasets.pets.source.rendered.name", "petz", "it must be 'pets', 'hands' or 'source'"),
        ("backbones.compact.pretrain.rendered", "sourc", "it must be 'pets', 'hands' or 'source'"),
        ("backbones.compact.input_range", [1.0, -1.0], "[1.0, -1.0] does not increase"),
        ("backbones.mobilenet_v2.input_range", [0.0, 0.0], "[0.0, 0.0] does not increase"),
        ("split.validation", 1.0, "1.0"),
        ("split.near_duplicate_distance", 17, "17"),
        ("run.seeds", [], "[]"),
        ("run.seeds", [-1], "-1"),
        ("run.seeds", [0.5], "0.5"),
        ("run.seeds", 3, "3"),
        ("run.datasets", [], "[]; it should have at least 1 item"),
        ("run.datasets", "pets", "'pets'"),
        ("datasets.pets.image_size", [64], "image_size.1 is missing"),
        ("datasets.pets.image_size", [64, 64, 3], "[64, 64, 3]"),
        ("datasets.pets.image_size", [64, 64.5], "64.5"),
        ("datasets.pets.kind", "photos", "'photos'"),
        ("sweep.shares", [0.0], "0.0"),
        ("checkpoints.seconds_between", -1.0, "-1.0"),
        ("engine.threads_per_job", 0, "0"),
    ],
)
def test_wrong_value_is_named_with_its_key(tmp_path: Path, key: str, value: Any, shown: str) -> None:
    sentence = refusal(tmp_path, key, value)
    assert key in sentence
    assert shown in sentence


def test_number_written_as_text_shows_how_to_write_it(tmp_path: Path) -> None:
    settings = (tiny.PROJECT / "params.yaml").read_text("utf-8")
    (tmp_path / "params.yaml").write_text(settings.replace("learning_rate: 0.001\n", "learning_rate: 1e-3\n"))
    with pytest.raises(UserError, match=r"training.learning_rate is the text '1e-3'.*1\.0e-3"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("missing", ["run", "training.epochs", "datasets.pets.backbone", "augmentation.fill"])
def test_missing_key_is_named(tmp_path: Path, missing: str) -> None:
    settings = tiny.committed()
    *path, last = missing.split(".")
    section = settings
    for part in path:
        section = section[part]
    del section[last]
    with pytest.raises(UserError, match=f"{missing} is missing"):
        load_settings(tmp_path, settings)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("run.datasets", ["pet"], ["run.datasets", "'pet'", "did you mean 'pets'"]),
        ("run.pixel_variants", ["base_line"], ["run.pixel_variants", "'base_line'", "did you mean 'baseline'"]),
        ("run.pixel_variants", ["transfer"], ["run.pixel_variants", "'transfer'", "run.feature_variants"]),
        ("run.feature_variants", ["transfer", "dropout"], ["run.feature_variants", "'dropout'", "run.pixel_variants"]),
        ("run.pixel_variants", ["fine_tune"], ["run.pixel_variants", "'fine_tune'", "run.fine_tune_variants"]),
        ("datasets.pets.backbone", "compakt", ["datasets.pets.backbone", "'compakt'", "did you mean 'compact'"]),
        ("datasets.cats_vs_dogs.backbone", "inception", ["datasets.cats_vs_dogs.backbone", "mean 'inception_v3'"]),
        ("sweep.variants", ["baselin"], ["sweep.variants", "'baselin'", "did you mean 'baseline'"]),
        ("sweep.variants", ["fine_tune"], ["sweep.variants", "'fine_tune'", "is fine-tuned"]),
        ("fine_tune.start", "transfr", ["fine_tune.start", "'transfr'", "did you mean 'transfer'"]),
        ("fine_tune.start", "baseline", ["fine_tune.start", "'baseline'", "transfer: true"]),
        ("fine_tune.start", "transfer_average", ["'transfer_average', which is not in run.feature_variants"]),
        ("fine_tune.start", "fine_tune", ["fine_tune.start", "'fine_tune'"]),
        ("variants.dropout.against", "basline", ["variants.dropout.against", "'basline'", "did you mean 'baseline'"]),
        ("variants.dropout.against", ["augmented", "x"], ["variants.dropout.against", "'x'"]),
        ("variants.dropout.against", "dropout", ["variants.dropout.against is 'dropout'", "cannot be compared"]),
        ("variants.baseline", {"against": "dropout"}, ["variants.baseline.against is 'dropout'", "take the key out"]),
        ("variants.fine_tune.start", "nothing", ["start", "'nothing'"]),
        ("variants.fine_tune.start", "fine_tune", ["start", "'fine_tune'"]),
        ("variants.fine_tune.start", "baseline", ["variants.fine_tune.start", "'baseline'", "transfer: true"]),
        ("variants.fine_tune.start", "probe", ["variants.fine_tune.start", "'probe', which is not in run.feature_var"]),
        ("variants.dropout.start", "transfer", ["unknown key variants.dropout.start"]),
        ("variants.fine_tune.dropout", 0.3, ["variants.fine_tune.dropout is 0.3", "fine_tune.start names"]),
        ("datasets.pets.fine_tune", {"start": "nothing"}, ["start", "'nothing'"]),
        ("datasets.cats_vs_dogs.fine_tune", {"start": "nothing"}, ["start", "'nothing'"]),
    ],
)
def test_name_that_means_nothing_here(tmp_path: Path, key: str, value: Any, words: list[str]) -> None:
    sentence = refusal(tmp_path, key, value)
    assert [word for word in words if word not in sentence] == []


def test_variants_are_compared_with_the_baseline_or_what_they_change(tmp_path: Path) -> None:
    settings = tiny.committed()
    tiny.change(settings, "variants.augmented_dropout.against", ["augmented", "dropout"])
    params = load_settings(tmp_path, settings)
    assert params.against("augmented") == ("baseline",)
    assert params.against("transfer_dropout") == ("transfer",)
    assert params.against("augmented_dropout") == ("augmented", "dropout")
    assert params.against("fine_tune") == (params.fine_tune.start,)


def test_variant_may_name_its_own_start(tmp_path: Path) -> None:
    settings = tiny.committed()
    tiny.change(settings, "run.feature_variants", ["transfer", "transfer_dropout"])
    tiny.change(settings, "variants.other", {"fine_tune": True, "start": "transfer_dropout"})
    tiny.change(settings, "run.fine_tune_variants", ["fine_tune", "other"])
    params = load_settings(tmp_path, settings)
    assert [params.against(name) for name in ("fine_tune", "other")] == [("transfer",), ("transfer_dropout",)]
    recipes = [resolve(params, "pets", name) for name in ("fine_tune", "other")]
    assert [(recipe.start, recipe.dropout) for recipe in recipes] == [("transfer", 0.0), ("transfer_dropout", 0.2)]


def test_margin_has_a_default(tmp_path: Path) -> None:
    settings = tiny.committed()
    del settings["run"]["margin"]
    assert load_settings(tmp_path, settings).run.margin == 2.0
    assert "run.margin" in refusal(tmp_path, "run.margin", -1.0)


def test_key_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((tiny.PROJECT / "params.yaml").read_text() + "\nrobustness:\n  images_per_split: 3\n")
    with pytest.raises(UserError, match=r"params\.yaml is not valid YAML: the key 'robustness' occurs twice in "):
        load_params(path)


@pytest.mark.parametrize("key", ["run.seeds", "split.seed", "backbones.compact.pretrain.seed"])
def test_seed_that_numpy_would_refuse(tmp_path: Path, key: str) -> None:
    seed = [2**32] if key == "run.seeds" else 2**32
    assert f"params.yaml: {key}" in (said := refusal(tmp_path, key, seed))
    assert "should be less than 4294967296" in said


@pytest.mark.parametrize("key", ["datasets", "pixel_variants", "feature_variants", "seeds"])
def test_entry_named_twice(tmp_path: Path, key: str) -> None:
    twice = tiny.committed()["run"][key][:1] * 2
    assert f"run.{key}: names an entry twice" in refusal(tmp_path, f"run.{key}", twice)


def test_sweep_of_a_variant_that_is_not_run(tmp_path: Path) -> None:
    settings = tiny.committed()
    tiny.change(settings, "sweep.enabled", True)
    tiny.change(settings, "sweep.variants", ["larger"])
    with pytest.raises(UserError, match=r"sweep.variants names 'larger', which is not in run.pixel_variants; add it"):
        load_settings(tmp_path, settings)
    tiny.change(settings, "sweep.variants", ["transfer_average"])
    with pytest.raises(UserError, match=r"names 'transfer_average', which is not in run.feature_variants; add it"):
        load_settings(tmp_path, settings)
    tiny.change(settings, "sweep.enabled", False)
    assert not load_settings(tmp_path, settings).sweep.enabled


def test_wrong_start_of_fine_tuning_says_which_list_to_change(tmp_path: Path) -> None:
    assert refusal(tmp_path, "run.feature_variants", []) == (
        "params.yaml: fine_tune.start names 'transfer', which is not in run.feature_variants; add it there, or empty "
        "run.fine_tune_variants"
    )
    settings = tiny.committed()
    tiny.change(settings, "run.feature_variants", [])
    tiny.change(settings, "run.fine_tune_variants", [])
    assert load_settings(tmp_path, settings).run.variants == ("baseline", "augmented", "dropout")


def test_former_key_of_own_splits_still_works(tmp_path: Path) -> None:
    settings = tiny.committed()
    del settings["run"]["split"]
    assert load_settings(tmp_path, settings).run.split == "fixed"
    for former, split in ((False, "fixed"), (True, "resplit")):
        settings["run"]["resplit"] = former
        assert load_settings(tmp_path, settings).run.split == split
    settings["run"] |= {"split": "folds", "resplit": False}
    assert load_settings(tmp_path, settings).run.split == "folds"
    settings["run"]["resplit"] = True
    with pytest.raises(UserError, match=r"resplit is true, the former name of split: resplit, but split is 'folds'"):
        load_settings(tmp_path, settings)
    settings["run"]["resplit"] = "yes"
    with pytest.raises(UserError, match="resplit"):
        load_settings(tmp_path, settings)


def test_folds_need_three_seeds(tmp_path: Path) -> None:
    assert load(tmp_path, "run.split", "folds").run.own_splits
    settings = tiny.committed()
    settings["run"] |= {"split": "folds", "seeds": [4, 7]}
    with pytest.raises(UserError, match=r"split is folds, one for each seed, but seeds has 2; give at least 3"):
        load_settings(tmp_path, settings)
    assert "fold" in refusal(tmp_path, "run.split", "fold")


def test_folds_are_judged_once(tmp_path: Path) -> None:
    # More seeds draw all folds again, so no look keeps the seeds of an earlier one.
    settings = tiny.committed()
    settings["run"] |= {"looks": [3, 5]}
    assert load_settings(tmp_path, settings).run.declared_looks == (3, 5)
    settings["run"] |= {"split": "folds"}
    assert load_settings(tmp_path, settings).run.declared_looks == ()


@pytest.mark.parametrize("looks", [[5, 3], [3, 3], [2, 5]])
def test_looks_rise_from_three_seeds_on(tmp_path: Path, looks: list[int]) -> None:
    assert "run.looks" in refusal(tmp_path, "run.looks", looks)


def test_no_variants_at_all_are_a_wrong_run(tmp_path: Path) -> None:
    settings = tiny.committed()
    for key in ("pixel_variants", "feature_variants", "fine_tune_variants"):
        tiny.change(settings, f"run.{key}", [])
    with pytest.raises(UserError, match="are all empty; name a variant in one of them"):
        load_settings(tmp_path, settings)


def test_split_that_leaves_no_training_images(tmp_path: Path) -> None:
    settings = tiny.committed()
    tiny.change(settings, "split.validation", 0.5)
    tiny.change(settings, "split.test", 0.5)
    with pytest.raises(UserError, match="leave no training images"):
        load_settings(tmp_path, settings)


def test_sources_and_origins_exclude_each_other(tmp_path: Path) -> None:
    assert "exactly one of rendered, archives, folder" in refusal(tmp_path, "datasets.pets.source", {})
    assert "exactly one" in refusal(tmp_path, "datasets.pets.source.folder", "pictures")
    assert "not both or neither" in refusal(tmp_path, "backbones.compact.weights", {"url": "file.h5"})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("backbones.inception_v3.alpha", 0.5, "inception_v3: `alpha` is 0.5, but only a MobileNet has one"),
        ("backbones.compact.alpha", 0.5, "compact: `alpha` is 0.5, but only a MobileNet has one"),
        ("backbones.compact.architecture", "InceptionV3", "compact: `pretrain` trains the architecture compact only"),
        ("datasets.cats_vs_dogs.training.length", "plateau", "cats_vs_dogs: training.length is 'plateau', but recipe:"),
        ("backbones.compact.pretrain.fit.length", "plateau", "fit has length: plateau, which lowers the rate itself"),
        (
            "training.length",
            "plateau",
            "pets/baseline has length: plateau, which lowers the rate itself, and learning_",
        ),
        ("variants.fine_tune.transfer", True, "variants.fine_tune: transfer and fine_tune are both true"),
    ],
)
def test_wrong_combination_is_named(tmp_path: Path, key: str, value: Any, words: str) -> None:
    assert words in refusal(tmp_path, key, value)


def test_wrong_drawings_for_a_backbone_are_those_of_a_dataset(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, "backbones.compact.pretrain.rendered", "hands")
    assert "backbones.compact.pretrain.rendered is 'hands', which datasets.hands draws too" in sentence
    settings = tiny.committed()
    tiny.change(settings, "run.datasets", ["pets"])
    tiny.change(settings, "datasets.hands.source.rendered.name", "source")
    with pytest.raises(UserError, match=r"rendered is 'source', which datasets.hands draws too"):
        load_settings(tmp_path, settings)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[1, 2]", "run", "run: [", "run: {a: 1, a", "\t- x", "\0"),
        "a: !!python/object:os.system {}",
        "when: 2026-99-99",  # a date to YAML, and not a possible one
    ],
)
def test_file_that_is_not_such_settings(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml") as error:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)


def test_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run this command in the project's folder"):
        load_params(tmp_path / "params.yaml")


def stage_commands() -> dict[str, list[str]]:
    """Return script -> the words behind it, as dvc.yaml calls it first."""
    commands: dict[str, list[str]] = {}
    for stage in yaml.safe_load((tiny.PROJECT / "dvc.yaml").read_text("utf-8"))["stages"].values():
        script, *words = stage["cmd"].replace("${item.dataset}", "tiny").split()[2:]
        commands.setdefault(Path(script).stem, [re.sub(r"\$\{.*\}", "baseline", word) for word in words])
    return commands


# The first stage and one of each kind; all seventeen take half a minute, most of it scikit-learn's and matplotlib's.
OFTEN = {"source_code", "plan", "download", "features", "train"}
SCRIPTS = sorted(path.stem for path in tiny.PROJECT.glob("stages/*.py"))


@pytest.mark.parametrize(
    "stage", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in SCRIPTS]
)
def test_stage_with_broken_settings_ends_with_one_line_before_any_work(tmp_path: Path, stage: str) -> None:
    tiny.write_params(tmp_path, {"training.batch_sise": 20})
    command = tiny.stage_command(stage, *stage_commands()[stage])
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path, env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: params.yaml: unknown key training.batch_sise; did you mean 'batch_size'?"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=10)
    | st.sampled_from(["baseline", "transfer", "fine_tune", "pets", "compact", 1e-300, 2**64, [64, 64]]),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "epochs", "dropout", "start", "filters", 1]), values, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=40)
@given(key=st.sampled_from(COMMITTED_KEYS), value=VALUES)
def test_any_changed_value_gives_settings_or_a_sentence(
    key: str, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "changed"
    folder.mkdir(exist_ok=True)
    said = None
    try:
        load(folder, key, value)
    except UserError as error:
        said = str(error)
    assert said is None or (said.startswith("params.yaml: ") and "\n" not in said)


@pytest.mark.parametrize("section", ["datasets", "variants"])
@pytest.mark.parametrize(
    "name",
    [
        "x$(touch f)",
        "/etc/passwd",
        "../up",
        "pets-big",
        "a b",
        "a'b",
        "Pets",
        "12",
        "best",
        "size",
        "a.b",
        "n" * 101,
        "",
    ],
)
def test_names_that_reach_the_shell_are_refused(tmp_path: Path, section: str, name: str) -> None:
    settings = tiny.committed()
    settings[section][name] = next(iter(settings[section].values()))
    with pytest.raises(UserError, match=f"{section} has the name {re.escape(repr(name))}; write small letters"):
        load_settings(tmp_path, settings)


@pytest.mark.parametrize("value", ["auto", "full", [0, 4095]])
def test_grey_range_is_a_word_or_two_numbers(tmp_path: Path, value: Any) -> None:
    assert load(tmp_path, "images.grey_range", value).images.grey_range == (
        tuple(value) if value == [0, 4095] else value
    )


@pytest.mark.parametrize("value", ["none", [4095, 0], [0], [-1, 5], [0, 70000], [5, 5]])
def test_wrong_grey_range_is_refused(tmp_path: Path, value: Any) -> None:
    assert "images.grey_range" in refusal(tmp_path, "images.grey_range", value)


def test_settings_without_the_new_keys_of_images_stay_valid(tmp_path: Path) -> None:
    settings = tiny.committed()
    settings["images"] = {"maximum_pixels": 50_000_000, "minimum_side": 8}
    images = load_settings(tmp_path, settings).images
    assert (images.grey_range, images.background, images.resize) == ("full", "white", "stretch")
