"""Write docs/faults.md: what can go wrong, the test that makes it go wrong for real, and what the user then reads.

    python tests/make_faults_table.py                           write the page from what is recorded
    python tests/make_faults_table.py --record                  run all tests named here first, the slow ones too
    python tests/make_faults_table.py --record test_images.py   or those of some files

A case is called as its test is. What it printed is the sentence that the run of the test produced: what a command wrote
to stderr, else the message of the UserError or BadImage that reached the test, else the reason for which a picture was
put aside; taken from the first of the test's cases that has one. Errors that the program dealt with by itself are not
printed, and so not heard. A dash says that no sentence was heard, not that none is wanted: many tests look at results.
The records: docs/faults.json.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.raises import RaisesExc

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "faults.md"
RECORDS = PAGE.with_suffix(".json")

# Progress, and what TensorFlow, Python's helpers and a browser say about themselves.
NOISE = r"\d/\d+\b.*/s|jobs at work|^[EWI]\d{4} |resource_tracker|^\[\d+:\d+:|/chromium: |XNNPACK"

# What every training says on a machine without a GPU; only the tests about that are asked for it.
NO_GPU = "no GPU was found"

# Section -> file -> the tests in it, as patterns of their names without "test_".
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Images": {
        "test_exif.py": "",
        "test_images.py": (
            "odd_image_has|every_odd|what_is_no_image|content_decides|formats_outside|truncated|png_without|flipped_bit"
            "|pixel_bomb|pixel_limit|too_many_bytes|too_small|alpha|half_transparent|transparent|other_colour|16_bit"
            "|grey_without|exif|invalid_exif|upright|warning_of|complaints|first_of_several|damaged|second_picture"
            "|random_bytes|rotated_photograph"
        ),
        "test_manifest.py": "damaged_and_foreign|strict|class_without|leak|copies|odd_member|any_text|damaged|missing",
        "test_own_folder.py": "bad_files|every_good|cmyk|strict|archive_that|two_archives|folder_that|odd_files",
        "test_arrays.py": "image_that|missing|shortened|array_of_another",
    },
    "Folders": {
        "test_init.py": (
            "problems|odd_names|option_that|changed_folder|name_|faults|outside|pictures_that|reason_for|small_pictures"
        ),
        "test_folders.py": (
            "hidden|empty|link|class_folder|pipe|odd_names|name_like|every_file|read_only|unreadable|missing|archive_written"
        ),
        "test_layout.py": (
            "system|clutter|files_outside|file_in|empty|class_filled|class_whose|class_may|class_name|unicode|case_twins"
            "|sharp|no_folders|classes_that|folder_beside|one_folder|random|single_folders"
        ),
        "test_splits.py": "class_|images_outside|official_division_without|repair",
        "test_inputs.py": "link|what_links",
    },
    "Archives": {
        "test_archives.py": (
            "archive_without|nothing_is|name_that|folder_that|null|link|encrypted|unknown|zip_member|repeated|bomb|zeros"
            "|too_|huge|tar_header|member_that|wrong|truncated|tar_cut|damaged|what_is|gzip|missing|old_|names_of|utf8|tar_name"
            "|leading"
        ),
        "test_faults_ingest.py": "",
        "test_workers.py": "fault|killed|workers_end",
    },
    "Downloads": {"test_downloads.py": "(?!progress|real_stand|file_is_fetched)", "test_file_lock.py": ""},
    "Parameters": {
        "test_params.py": (
            "mistyped|key_unlike|wrong|number_written|missing|name_that|entry|sweep|split_that|image_smaller|sources|file_that"
            "|stage_with|any_changed|no_key"
        ),
        "test_dvc_yaml.py": "no_key|every_number|committed",
        "test_plans.py": "batch",
    },
    "Training": {
        "test_kills.py": "",
        "test_feature_store.py": "damaged",
        "test_states.py": "(?!state_comes|more_than|before_the|without)",
        "test_training.py": "batch|memory|network_that",
        "test_local_engine.py": "what_jobs|process_killed|signal|killed|two_commands",
        "test_engine.py": "fail|validation_loss|other_jobs|too_large|damaged|full_disk|job_whose|kill",
        "test_faults_stages.py": "",
        "test_faults_signals.py": "",
        "test_faults_disk.py": "",
        "test_warm_start.py": (
            "exit_code|fault|without_a_server|libraries|folder_too|stage_ends|server_|warm_repro_that"
        ),
        "test_storage.py": "fault|kill|full|other_faults|undecodable|missing|damaged",
        "test_device.py": "a_machine_without|a_real|out_of|numpy|a_single|other_errors|a_backend|quiet",
        "test_faults_device.py": "",
        "test_faults_lock.py": "",
        "test_predictions.py": "missing|cut|flipped",
        "test_metrics.py": "unusable|diverged|certain",
    },
    "Models": {
        "test_model_files.py": "",
        "test_predict.py": "",
        "test_cli.py": "strict|evaluate_names|wrong|reader",
        "test_models.py": "weight",
        "test_weights.py": "",
        "test_plans.py": "swapped|missing",
    },
    "Reports": {
        "test_faults_text.py": "",
        "test_errors.py": "(?!command|other)",
        "test_page.py": "page_loads|hostile|params_keep|model_card_escapes|markdown",
        "test_plots.py": "untrusted|label",
        "test_tables.py": "class_name|negative|no_text|numbers_that",
        "test_plots_page.py": "plot_that|page_loads|dvcs_own",
        "test_manifest.py": "no_cell",
    },
    "Removing": {
        "test_removal.py": "",
        "test_leftovers.py": "",
        "test_jobs.py": "key_changes|result|new_result|dropping",
    },
    "No .git": {"test_makefile.py": "", "test_faults_no_git.py": ""},
}  # fmt: skip

LEFT_OUT = """\
## Left out, and why

- Power loss: every file is synced before it takes its name, which no test here can pull a plug to prove.
- A broken GPU in the middle of a run: it needs the hardware. A driver without a usable GPU is tested.
- Two machines that share one folder over a network: locks and renames are only as good as that file system.
- A full disk in DVC's own cache: DVC says so itself; the outputs lie in the folder then and are whole.
- A disk that returns wrong bytes: in a state, prediction or model they are noticed, elsewhere not.
"""


def named_tests() -> dict[str, list[tuple[str, str]]]:
    """Return section -> (file, test) of every test named above, in the order of the files."""
    found: dict[str, list[tuple[str, str]]] = {}
    for section, files in SECTIONS.items():
        found[section] = []
        for file, pattern in files.items():
            names = [
                node.name
                for node in ast.parse((TESTS / file).read_text("utf-8")).body
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            ]
            matching = [name for name in names if re.match(f"test_({pattern})", name)]
            found[section] += [(file, name) for name in matching]
    return found


class Recorder:
    """A pytest plugin that notes what each test made the program say."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.said: list[tuple[int, str]] = []  # (how good a witness, text)
        self.noise = NOISE

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        """Listen while one test runs."""
        from convnet.errors import UserError
        from convnet.images import BadImage

        self.said = []
        self.noise = NOISE if "gpu" in item.name else f"{NOISE}|{NO_GPU}"
        run, leave, read = subprocess.run, RaisesExc.__exit__, pytest.CaptureFixture.readouterr

        def put_aside(error: BadImage, *arguments: object) -> None:
            Exception.__init__(error, *arguments)
            self.said.append((1, str(error)))

        def leave_and_listen(expected: Any, kind: Any, error: Any, trace: Any) -> bool:
            if isinstance(error, UserError | BadImage):
                self.said.append((2, str(error)))
            return leave(expected, kind, error, trace)

        def read_and_listen(capture: Any) -> Any:
            found = read(capture)
            self._hear(found.err, 0)
            return found

        def run_and_listen(*arguments: Any, **options: Any) -> Any:
            done = run(*arguments, **options)
            self._hear(done.stderr, 3 if done.returncode else 0)
            return done

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BadImage, "__init__", put_aside)
            patch.setattr(RaisesExc, "__exit__", leave_and_listen)
            patch.setattr(pytest.CaptureFixture, "readouterr", read_and_listen)
            patch.setattr(subprocess, "run", run_and_listen)
            return (yield)

    def _hear(self, output: str | bytes | None, witness: int) -> None:
        """Keep the sentence in what was written to stderr, or its last line."""
        if lines := _lines(output, self.noise):
            told = [line for line in lines if re.match(r"error: |make: (?!\*)|ERROR: |WARNING: ", line)]
            self.said.append((3 if told else witness, [*lines[-1:], *told[:1]][-1]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what was heard."""
        if report.when != "call":
            return
        name = re.sub(r"\[.*", "", report.nodeid.rpartition("tests/")[2], flags=re.DOTALL)
        record = self.records.setdefault(name, {"cases": 0, "outcome": "passed", "said": "", "seconds": 0.0})
        record["cases"] += 1
        record["seconds"] = round(record["seconds"] + report.duration, 1)
        if report.outcome != "passed":
            record["outcome"] = report.outcome
        self._hear(report.capstderr, 0)
        said = self.said
        if said and not record["said"]:
            best = max(witness for witness, _ in said)
            record["said"] = _without_places([text for witness, text in said if witness == best][-1])


def record(files: Sequence[str]) -> None:
    """Run the tests named above, of all files or of those given, and keep what they said in docs/faults.json."""
    if unknown := set(files) - {file for named in SECTIONS.values() for file in named}:
        sys.exit(f"no test of {', '.join(sorted(unknown))} is in the table: give names such as test_images.py")
    chosen = [f"{TESTS / file}::{name}" for tests in named_tests().values() for file, name in tests
              if not files or file in files]  # fmt: skip
    recorder = Recorder()
    sys.path.insert(0, str(TESTS.parent))  # as `python -m pytest` has it
    # Files that an error leaves open for the collector are the business of the tests themselves.
    pytest.main(
        ["-q", "-p", "no:cacheprovider", "-p", "no:unraisableexception", *dict.fromkeys(chosen)], plugins=[recorder]
    )
    kept = json.loads(RECORDS.read_text("utf-8")) if RECORDS.exists() else {}
    RECORDS.parent.mkdir(exist_ok=True)
    names = {f"{file}::{name}" for tests in named_tests().values() for file, name in tests}
    kept = {name: record for name, record in (kept | recorder.records).items() if name in names}
    text = json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False)
    RECORDS.write_text(text + "\n", "utf-8")


def page() -> str:
    """Return docs/faults.md."""
    records = json.loads(RECORDS.read_text("utf-8")) if RECORDS.exists() else {}
    tests = named_tests()
    cases = sum(records.get(f"{file}::{name}", {}).get("cases", 1) for named in tests.values() for file, name in named)
    kills = {name: record["seconds"] for name, record in records.items() if name.startswith("test_kills.py")}
    lines = [
        "# Faults: what can go wrong, and what you then read",
        "",
        "Generated by `python tests/make_faults_table.py`; a case is called as the test that makes it happen, with",
        "real files, a real server on this machine, a real full disk, a real kill. A dash: no sentence was heard.",
        "",
        f"{cases} cases in {sum(map(len, tests.values()))} tests.",
    ]
    if kills:
        slowest = max(kills, key=kills.__getitem__)
        lines[-1] += (
            f" `{slowest.partition('::')[2]}` takes {kills[slowest]:.0f} s, all that kill a training "
            f"{sum(kills.values()):.0f} s."
        )
    for section, named in tests.items():
        if not named:
            continue
        lines += ["", f"## {section}", "", "| case | test | what it printed |", "| --- | --- | --- |"]
        for file, name in named:
            kept = records.get(f"{file}::{name}")
            count = f" ({kept['cases']} cases)" if kept and kept["cases"] > 1 else ""
            case = name.removeprefix("test_").replace("_", " ")
            lines.append(f"| {case}{count} | `{file.removesuffix('.py')}` | {_said(kept)} |")
    return "\n".join([*lines, "", LEFT_OUT])


def _said(kept: Mapping[str, Any] | None) -> str:
    if kept is None:
        return "(not recorded)"
    if kept["outcome"] != "passed":
        return f"({kept['outcome']})"
    if not kept["said"]:
        return "–"  # noqa: RUF001 - a dash for "nothing"
    text = kept["said"] if len(kept["said"]) <= 300 else kept["said"][:299] + "…"
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", text)


def _lines(output: str | bytes | None, noise: str) -> list[str]:
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if not re.search(noise, line)]


def _without_places(text: str) -> str:
    """Leave out what differs from machine to machine: folders of the test, ports, process numbers."""
    text = re.sub(r"(/[\w.-]+)*/pytest-of-[\w.-]+/pytest-\d+(/[\w.-]+?\d+)?(?=/|\W|$)", "…", text)
    for folder in (os.environ.get("CONVNET_DATA"), str(TESTS.parent)):
        text = text.replace(folder, "…") if folder else text
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def main() -> None:
    """Record if asked to, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", nargs="*", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.record is not None:
        record(arguments.record)
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
