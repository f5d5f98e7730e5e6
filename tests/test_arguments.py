"""What command lines refuse, and how they say so."""

import argparse

import pytest

from app.arguments import new_parser, parse


def _parser() -> argparse.ArgumentParser:
    made = new_parser("decide try", "[SYMBOL ...]")
    made.add_argument("symbols", nargs="*")
    made.add_argument("--timeout-s", type=float)
    made.add_argument("--redis-url-file")
    return made


def _with_commands() -> argparse.ArgumentParser:
    made = new_parser("decide try", "COMMAND")
    commands = made.add_subparsers(metavar="COMMAND", prog="decide try")
    command = commands.add_parser("command", usage="decide try command")
    command.add_argument("--depth")
    command.set_defaults(parser=command)
    return made


def _refusal(
    capsys: pytest.CaptureFixture[str], *arguments: str, parser: argparse.ArgumentParser | None = None, prog: str = "decide try"
) -> str:
    with pytest.raises(SystemExit) as ended:
        parse(parser or _parser(), arguments)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, second, *more = said.err.splitlines()
    assert (first.startswith(f"usage: {prog}"), more) == (True, [])
    assert second.startswith(f"{prog}: error: ")
    return second.removeprefix(f"{prog}: error: ")


def test_what_is_known_is_taken() -> None:
    given = parse(_parser(), ["--timeout-s", "2", "AAPL", "MSFT"])
    assert (given.symbols, given.timeout_s) == (["AAPL", "MSFT"], 2.0)


def test_an_unknown_option_is_refused_by_name_with_the_one_it_may_have_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert _refusal(capsys, "--timeout", "3") == "there is no --timeout; did you mean --timeout-s?"
    assert _refusal(capsys, "--TIMEOUT_S=3") == "there is no --TIMEOUT_S; did you mean --timeout-s?"
    assert _refusal(capsys, "--colour") == _refusal(capsys, "--timeout-s=3", "--colour", "--shape") == "there is no --colour"


@pytest.mark.parametrize("given", [["-p", "9000"], ["-p=9000"], ["-p9000"], ["-passwd", "9000"], ["AAPL", "-p", "-9000"]])
def test_a_short_option_is_refused_by_its_letter_alone(capsys: pytest.CaptureFixture[str], given: list[str]) -> None:
    """What is glued to it, or follows, is its value."""
    assert _refusal(capsys, *given) == "there is no -p"


def test_an_option_behind_one_dash_is_refused_with_the_one_it_may_have_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert _refusal(capsys, "-timeout-s", "3") == "there is no -t; did you mean --timeout-s?"


def test_what_looks_like_no_options_name_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    for argument in ("-\N{LATIN SMALL LETTER E WITH ACUTE}", "--k\N{LATIN SMALL LETTER E WITH ACUTE}", "---"):
        assert _refusal(capsys, argument, "sesame") == "there is no option of that kind"


def test_of_what_begins_with_a_known_name_nothing_behind_it_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """It may be a value that lacks its =; what may have been meant is said all the same."""
    assert _refusal(capsys, "--timeout-ssesame") == "there is no option of that kind; did you mean --timeout-s?"
    for glued in ("--redis-urlsesame", "--REDIS_URLsesame", "--redis-url-sesame=1"):
        assert _refusal(capsys, glued) == "there is no option of that kind; did you mean --redis-url-file?"


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that was right must not become wrong by an option that is added."""
    assert _refusal(capsys, "--time", "3").startswith("there is no --time")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kye", "sesame", "--kee=sesame"],
        ["--kye", "-sesame"],
        ["--kye", "--sesame"],
        ["--kye", "--", "sesame"],
        ["--kye", "ses ame", "open"],
        ["-k", "sesame"],
        ["-k", "-ksesame"],
        ["-ksesame"],
        ["--timeout-s", "-sesame"],
        ["--timeout-s", "--sesame"],
        ["-redis-url", "sesame"],
        ["--timeout-s", "1", "redis://:sesame@cache", "--kye"],
    ],
)
def test_values_of_unknown_options_are_not_shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """They may be keys with a slip in their option's name."""
    assert "sesame" not in _refusal(capsys, *arguments)


def test_an_argument_that_has_no_place_is_repeated_if_it_is_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else may be a secret."""
    for given, said in ((["MSFT"], "'MSFT'"), (["a://b@c"], "of that kind"), (["--", "MSFT"], "'MSFT'")):
        assert _refusal(capsys, *given, parser=new_parser("decide try", "")) == f"there is no argument {said} here"


def test_nothing_behind_two_dashes_is_an_option() -> None:
    assert parse(_parser(), ["--", "--colour"]).symbols == ["--colour"]


def test_what_begins_with_a_dash_can_be_a_value() -> None:
    assert parse(_parser(), ["--timeout-s", "-2"]).timeout_s == -2.0
    assert parse(_with_commands(), ["command", "--depth=-x"]).depth == "-x"


def test_options_of_commands_are_known_and_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(_with_commands(), ["command", "--depth", "2"]).depth == "2"
    said = _refusal(capsys, "command", "--deep", "2", parser=_with_commands(), prog="decide try command")
    assert said == "there is no --deep; did you mean --depth?"


def test_a_wrong_value_is_refused_with_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert _refusal(capsys, "--timeout-s", "soon") == "argument --timeout-s: invalid float value: 'soon'"
