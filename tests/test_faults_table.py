"""docs/faults.md names the tests that there are."""

import json

from make_faults_table import PAGE, RECORDS, SECTIONS, TESTS, named_tests, page


def test_the_page_is_what_the_tests_and_the_records_give() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python tests/make_faults_table.py"


def test_every_file_that_is_named_holds_cases() -> None:
    named = named_tests()
    for section, files in SECTIONS.items():
        assert set(files) == {file for file, _ in named[section]} | {f for f in files if not (TESTS / f).exists()}
        assert named[section]


def test_every_case_was_recorded_from_a_test_that_passed() -> None:
    records = json.loads(RECORDS.read_text("utf-8"))
    names = {f"{file}::{name}" for tests in named_tests().values() for file, name in tests}
    assert names == records.keys()
    # A test may be skipped where it was recorded: for want of real data, or of a second core.
    assert {record["outcome"] for record in records.values()} <= {"passed", "skipped"}
