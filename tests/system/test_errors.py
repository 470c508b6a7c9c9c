import pytest

from convnet.system.errors import UserError, command, printable


def test_user_error_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def main() -> None:
        raise UserError("the disk is full")

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "error: the disk is full\n")


def test_control_c_is_exit_code_130_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "go on" in capsys.readouterr().err


def test_other_errors_keep_their_traceback() -> None:
    @command
    def main() -> None:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        main()


def test_command_passes_arguments_and_keeps_its_name() -> None:
    seen = []

    @command
    def main(number: int, *, word: str) -> None:
        """Say what it does."""
        seen.append((number, word))

    main(1, word="two")
    assert seen == [(1, "two")]
    assert (main.__name__, main.__doc__) == ("main", "Say what it does.")


@pytest.mark.parametrize("text", ["red\x1b[31m", "line\nbreak", "bell\x07", "\u202egnp.exe", "\udcff"])
def test_control_characters_are_escaped(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape") == text.encode("utf-8", "surrogatepass").decode(
        "utf-8", "surrogatepass"
    )


def test_ordinary_letters_stay_as_they_are() -> None:
    assert printable("Kätzchen 猫 (1).jpg") == "Kätzchen 猫 (1).jpg"
