"""docs/faults.md names the tests that there are."""

import json
import re

from make_faults_table import PAGE, RECORDS, SECTIONS, TESTS, named_tests, page


def test_the_page_is_what_the_tests_and_the_records_give() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python tests/make_faults_table.py"


def test_every_file_that_is_named_exists_and_holds_cases() -> None:
    named = {file for files in SECTIONS.values() for file in files}
    assert sorted(file for file in named if not (TESTS / file).is_file()) == []
    for section, tests in named_tests().items():
        assert {file for file, _ in tests} == set(SECTIONS[section])


def test_every_alternative_of_a_pattern_names_a_test() -> None:
    """An alternative that fits nothing is a case that was meant and is missing from the page."""
    for files in SECTIONS.values():
        for file, pattern in files.items():
            text = (TESTS / file).read_text("utf-8")
            alternatives = [] if pattern.startswith("(?!") else pattern.split("|")
            assert [name for name in alternatives if not re.search(f"^def test_({name})", text, re.MULTILINE)] == [], (
                file
            )


def test_every_case_was_recorded_from_a_test_that_passed() -> None:
    records = json.loads(RECORDS.read_text("utf-8"))
    names = {f"{file}::{name}" for tests in named_tests().values() for file, name in tests}
    assert names == records.keys()
    # A test may be skipped where it was recorded: for want of real data, or of a second core.
    assert {record["outcome"] for record in records.values()} <= {"passed", "skipped"}
