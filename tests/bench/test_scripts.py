"""The measurements run at toy scale and leave valid results; what they compute from repeats is checked by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny_study import PROJECT, environment

BENCH = PROJECT / "bench"
FASTAI = os.environ.get("CONVNET_FASTAI")


def _start(module: str, *options: str) -> str:
    variables = {key: value for key, value in environment().items() if key not in ("CONVNET_DATA", "CONVNET_FASTAI")}
    command = [sys.executable, "-m", f"bench.{module}", *options]
    done = subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _measure(name: str, out: Path, *more: str) -> str:
    return _start(f"speed.{name}", "--scale", "toy", "--out", str(out), *more)


def _result(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert result["command"].startswith("python -m bench.speed.")
    assert result["machine"]["cores"] >= 1
    for row in result["rows"]:
        for side in ("ours", "other", "ratio"):
            low, high = row[side]["spread"]
            assert 0 < low <= row[side]["median"] <= high
            assert row[side]["n"] == row["n"]
    return result


def test_planted_copies_are_counted(tmp_path: Path) -> None:
    out = tmp_path / "duplicates.json"
    _start("correctness.duplicates", "--pictures", "30", "--out", str(out))
    found = json.loads(out.read_text("utf-8"))
    assert found["originals"] == 30
    assert found["pairs_compared"] == 150 * 149 // 2
    assert set(found["found"].values()) == {30}
    assert found["false_pairs"] == 0


def test_committed_search_for_duplicates_is_what_the_readme_says() -> None:
    found = json.loads((BENCH / "results" / "duplicates.json").read_text("utf-8"))
    assert found["kind"].startswith("photographs")
    assert found["originals"] == 500
    assert sum(found["found"].values()) == 2000
    assert found["false_pairs"] == 0


def test_ratio_is_taken_repeat_by_repeat() -> None:
    from bench.lib.numbers import compare

    row = compare("epoch", "s", [1.0, 2.0, 4.0], [2.0, 6.0, 4.0], other_name="peer")
    assert row["ratio"] == {"n": 3, "median": 2.0, "spread": [1.0, 3.0]}
    rates = compare("rate", "images/s", [90.0], [100.0], other_name="limit", more_is_better=True)
    assert rates["ratio"]["median"] == pytest.approx(0.9)


def test_lower_accuracy_within_its_interval_is_not_called_lower() -> None:
    from bench.lib.numbers import compare_accuracy

    assert compare_accuracy([0.70, 0.74, 0.72], [0.73, 0.72, 0.73])["not_lower_beyond_interval"]
    assert not compare_accuracy([0.50, 0.51, 0.50], [0.73, 0.74, 0.73])["not_lower_beyond_interval"]
    assert compare_accuracy([0.7], [0.8])["not_lower_beyond_interval"] is None


def test_sides_take_turns_and_every_other_round_is_reversed() -> None:
    from bench.lib.sides import alternate

    calls: list[str] = []
    alternate({name: lambda repeat, name=name: calls.append(f"{name}{repeat}") for name in "ab"}, 3, "turns")  # type: ignore[misc]
    assert calls == ["a0", "b0", "b1", "a1", "a2", "b2"]


def test_watch_counts_the_memory_of_children(tmp_path: Path) -> None:
    from bench.lib.sides import watch

    hold = "import time; block = b'x' * (150 * 2**20); time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}]); print('done')"
    watched = watch([sys.executable, "-c", parent], tmp_path)
    assert watched.output == "done\n"
    assert 150 * 2**20 < watched.peak_bytes < 400 * 2**20
    with pytest.raises(RuntimeError, match="no such luck"):
        watch([sys.executable, "-c", "raise SystemExit('no such luck')"], tmp_path)


def test_decision_in_looks_is_put_beside_that_of_the_last_look() -> None:
    from bench.correctness.decide_study import beside
    from comparison.test_verdict import evaluation
    from convnet.comparison.verdict import verdict

    def judged(seeds: int, looks: tuple[int, ...]) -> Any:
        accuracies = {"baseline": 0.6, "augmented": 0.95, "dropout": 0.61}
        return verdict(
            [evaluation(name, value, tuple(range(seeds))) for name, value in accuracies.items()], looks=looks
        )

    rows = {row["variant"]: row for row in beside(judged(3, (3, 5)), judged(5, (5,)))}
    assert {(row["decide"]["seeds"], row["all"]["seeds"]) for row in rows.values()} == {(3, 5)}
    assert rows["augmented"]["decide"]["decision"] == rows["augmented"]["all"]["decision"] == "helps"
    assert all(row["same"] == (row["decide"]["decision"] == row["all"]["decision"]) for row in rows.values())


def test_stage_lasts_until_the_next_begins(tmp_path: Path) -> None:
    from bench.speed import profile_repro as profile

    log = ["0.5 noise", "1.0 Running stage 'split@pets':", "4.0 Running stage 'train@pets':", "no time",
           "14.0 Updating lock file"]  # fmt: skip
    timing = tmp_path / "models" / "pets" / "baseline" / "timing.json"
    timing.parent.mkdir(parents=True)
    timing.write_text(json.dumps({"0": {"seconds_training": 5.0, "seconds_predicting": 1.0},
                                  "1": {"seconds_training": 2.0, "seconds_predicting": 0.5}}))  # fmt: skip
    stages = profile.stages_of(profile.read_log(log), tmp_path)
    assert [tuple(stage) for stage in stages] == [("split@pets", 3.0, None), ("train@pets", 10.0, 8.5)]
    assert profile.by_kind(stages)[0] == {
        "stage": "train", "runs": 1, "seconds": 10.0, "computing": 8.5, "share": pytest.approx(10 / 13, abs=1e-4)
    }  # fmt: skip
    with pytest.raises(ValueError, match="no line begins with seconds"):
        profile.read_log(["Running stage 'split@pets':"])


def test_command_of_a_result_is_the_one_given_without_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bench.lib.numbers import command_of, make_parser

    parser = make_parser("")
    parser.add_argument("--variants", nargs="+")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--log", type=Path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bench" / "speed" / "peer.py")])
    given = [
        "--scale",
        "full",
        "--variants",
        "a",
        "b",
        "--against",
        str(tmp_path / "x.json"),
        "--out",
        str(tmp_path),
    ]
    told = "python -m bench.speed.peer --scale full --variants a b --against x.json"
    assert command_of(parser.parse_args(given)) == told
    assert command_of(parser.parse_args([*given, "--log", "run.log"])) == f"{told} --log run.log"


def test_table_shows_the_full_result_and_says_what_missed_its_target(tmp_path: Path) -> None:
    from bench.lib import make_table as table
    from bench.lib.numbers import compare

    rows = [compare("epoch", "s", [2.0], [3.0], other_name="peer", target=2.5)]
    for scale, load in (("toy", 0.1), ("short", 0.1), ("full", 9.0)):
        result = {"script": "peer", "scale": scale, "command": f"python -m bench.speed.peer --scale {scale}",
                  "machine": {"processor": "P", "cores": 2, "gpu": None},
                  "load_average_at_end": load, "rows": rows}  # fmt: skip
        (tmp_path / f"peer-{scale}.json").write_text(json.dumps(result))
    (result,) = table.newest_scales(tmp_path)
    text = "\n".join(table.section(result))
    assert "--scale full" in text
    assert "| 1.5 (1.5 to 1.5) | 2.5 missed |" in text
    assert "Disturbed" in text
    (tmp_path / "peer-full.json").unlink()
    (result,) = table.newest_scales(tmp_path)
    assert "Short run" in "\n".join(table.section(result))


def test_table_tells_what_else_was_seen_on_a_gpu() -> None:
    from bench.lib.numbers import compare

    more = {"seconds_of_jobs": [12.9, 6.66, 6.58], "share_of_limit": {"limit": 1.0, "single_steps": 0.292},
            "equal_weights_when_trained_again": True, "validation_accuracies": [0.655, 0.67, 0.708]}  # fmt: skip
    row = compare(
        "baseline, jax", "images/s", [7.0], [10.0], other_name="limit", target=0.9, more_is_better=True, **more
    )
    from bench.lib import make_table as table

    alone = (
        "- baseline, jax: the first job took 12.9 s with its compilation, the next seeds 6.7 and 6.6 s; a call for "
        "each step reaches 0.29 of the limit; trained again the same weights; validation accuracy 0.655, 0.670, 0.708"
    )
    assert table._rows([{**row, "agreement": None}])[-1] == alone
    agreement = {"difference": -0.012, "interval": [-0.05, 0.026], "agrees": True}
    expected = f"{alone}, -0.012 to the other run, 95 % interval -0.050 to +0.026"
    assert table._rows([{**row, "agreement": agreement}])[-1] == expected


def test_table_of_remedies_has_a_row_for_each_comparison(tmp_path: Path) -> None:
    from bench.lib.remedy_table import remedy_section

    row = {"variant": "mixup", "against": "baseline", "dataset": "pets", "kind": "rendered", "n_test": 240,
           "difference_points": 1.5, "interval_points": [-0.5, 3.5], "seeds": 3, "decision": "not decided"}  # fmt: skip
    on_hands = row | {"dataset": "hands", "seeds": 6, "decision": "helps"}
    other = row | {"variant": "ema"}
    assert remedy_section(tmp_path) == []
    result = {"command": "python -m x", "machine": {"processor": "P"}, "rows": [row, on_hands, other]}
    (tmp_path / "all_remedies_default.json").write_text(json.dumps(result))
    assert remedy_section(tmp_path)[2:-1] == [
        "`python -m x` on P.",
        "",
        "| variant | beside | pets, rendered, 240 test images | hands, rendered, 240 test images |",
        "| --- | --- | --- | --- |",
        "| ema | baseline | +1.5 (-0.5 to +3.5) not decided |  |",
        "| mixup | baseline | +1.5 (-0.5 to +3.5) not decided | +1.5 (-0.5 to +3.5, n 6) helps |",
    ]


def test_table_without_results_names_the_command(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    _start("lib.make_table", "--results", str(tmp_path), "--page", str(page))
    assert "No results yet" in page.read_text()


def test_ingest_measures_pictures_memory_and_cores(tmp_path: Path) -> None:
    assert "verify and pack, one core" in _measure("ingest", tmp_path)
    rows = {row["what"]: row for row in _result(tmp_path / "ingest-toy.json")["rows"]}
    stage = rows["stages split and prepare, 60 images, per core"]
    assert 20 < stage["peak_resident_mib"] < 2048
    assert stage["peak_resident_below_2_gib"]
    assert 0 < rows["verify, one core"]["ratio"]["median"] < 1.2  # it decodes, and more


@pytest.mark.slow
def test_light_stages_start_without_tensorflow(tmp_path: Path) -> None:
    _measure("startup", tmp_path)
    rows = {row["what"]: row for row in _result(tmp_path / "startup-toy.json")["rows"]}
    assert not rows["stage download, start"]["loads_tensorflow"]
    assert not rows["stage train, start"]["loads_tensorflow"]
    assert rows["training stage, everything loaded"]["loads_tensorflow"]
    assert rows["training stage, everything loaded"]["modules"] > 5 * rows["stage download, start"]["modules"] / 2


@pytest.mark.slow
def test_both_ways_train_the_same_pictures(tmp_path: Path) -> None:
    _measure("peer_cnn", tmp_path)
    result = _result(tmp_path / "peer_cnn-toy.json")
    assert result["images"]["train"] == 40
    assert result["ingest_seconds"] > 0
    (row,) = result["rows"]
    assert 0 <= row["accuracy"]["ours"]["median"] <= 1
    assert 0 <= row["accuracy"]["other"]["median"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", ["peer_transfer", "peer_modern", "head_step", "limit", "growth", "kernels", "next_seed", "remedies"]
)
def test_measurement_leaves_a_valid_result(script: str, tmp_path: Path) -> None:
    _measure(script, tmp_path)
    assert _result(tmp_path / f"{script}-toy.json")["rows"]


def test_without_a_python_that_has_fastai_nothing_is_measured(tmp_path: Path) -> None:
    assert _measure("peer_fastai", tmp_path) == ""
    assert not list(tmp_path.iterdir())
    from bench.speed.peer_fastai import Fastai

    bare = tmp_path / "bare"  # without site-packages
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"bare.* ended with 1"):
        Fastai(bare)


@pytest.mark.slow
@pytest.mark.skipif(FASTAI is None, reason="CONVNET_FASTAI names no Python that has fastai")
def test_fastai_takes_turns_with_this_program(tmp_path: Path) -> None:
    assert FASTAI is not None
    assert "of fastai" in _measure("peer_fastai", tmp_path, "--python", FASTAI, "--case", "augmented")
    one, every, *_ = _result(tmp_path / "peer_fastai_augmented-toy.json")["rows"]
    assert one["other"]["name"] == f"{every['other']['name']}, mean of its seeds"
    assert 0 <= every["accuracy"]["other"]["median"] <= 1


@pytest.mark.slow
def test_gpu_script_agrees_with_itself(tmp_path: Path) -> None:
    _measure("gpu", tmp_path / "first")
    (first,) = (tmp_path / "first").glob("gpu-*-toy.json")
    _measure("gpu", tmp_path / "second", "--against", str(first))
    (row,) = _result(tmp_path / "second" / first.name)["rows"]
    assert row["agreement"]["difference"] == 0.0
    assert row["equal_weights_when_trained_again"]
    assert set(row["share_of_limit"]) == {"limit", "as_training", "single_steps", "device_arrays"}


@pytest.mark.slow
def test_memory_of_features_is_that_of_the_stage(tmp_path: Path) -> None:
    assert "peak of resident memory, 300 images" in _measure("feature_memory", tmp_path)
    (row,) = _result(tmp_path / "feature_memory-toy.json")["rows"]
    assert 100 < row["ours"]["median"] < 2048  # TensorFlow alone takes more than 100
    assert row["below_2_gib"]


@pytest.mark.slow
def test_profile_names_every_stage_of_a_run(tmp_path: Path) -> None:
    assert "train@pets" in _measure("profile_repro", tmp_path)
    result = json.loads((tmp_path / "profile_repro-toy.json").read_text("utf-8"))
    kinds = {kind["stage"]: kind for kind in result["kinds"]}
    assert {"download", "split", "prepare", "train", "evaluate", "compare"} <= set(kinds)
    assert kinds["train"]["runs"] == 1
    assert 0 < kinds["train"]["computing"] < kinds["train"]["seconds"]
    assert sum(kind["share"] for kind in result["kinds"]) == pytest.approx(1, abs=0.01)
