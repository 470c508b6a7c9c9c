"""docs/faults.md names the tests that there are."""

from make_faults_table import PAGE, SECTIONS, TESTS, named_tests, page


def test_the_page_is_what_the_tests_and_the_records_give() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python tests/make_faults_table.py"


def test_every_file_that_is_named_holds_cases() -> None:
    named = named_tests()
    for section, files in SECTIONS.items():
        assert set(files) == {file for file, _ in named[section]} | {f for f in files if not (TESTS / f).exists()}
        assert named[section]
