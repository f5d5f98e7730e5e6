"""What command lines refuse, and how they say so."""

import subprocess
import sys

import pytest

from app.arguments import Parser
from tests.servers import ROOT


def _parser() -> Parser:
    made = Parser("decide try")
    made.add_argument("symbols", nargs="*")
    made.add_argument("--timeout-s", type=float)
    made.secrets["redis-url"] = "set REDIS_URL"
    return made


def _refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        _parser().parse_args(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, second, *more = said.err.splitlines()
    assert (second, more) == ("See `decide try --help`.", [])
    return first.removeprefix("decide try: error: ")


def test_what_is_known_is_taken() -> None:
    """Positional arguments and options."""
    given = _parser().parse_args(["--timeout-s", "2", "AAPL", "MSFT"])
    assert (given.symbols, given.timeout_s) == (["AAPL", "MSFT"], 2.0)


def test_an_unknown_option_is_refused_by_name_with_the_one_it_may_have_meant(capsys: pytest.CaptureFixture[str]) -> None:
    """In whatever way it is written, with one dash too; one that is like none has no such hint."""
    assert _refusal(capsys, "--timeout", "3") == "there is no --timeout; did you mean --timeout-s?"
    assert _refusal(capsys, "--TIMEOUT_S=3") == "there is no --TIMEOUT_S; did you mean --timeout-s?"
    assert _refusal(capsys, "-timeout-s", "3") == "there is no -timeout-s; did you mean --timeout-s?"
    assert _refusal(capsys, "--colour") == _refusal(capsys, "--timeout-s=3", "--colour") == "there is no --colour"
    assert _refusal(capsys, "--timeout=3", "--colour") == "there is no --timeout; did you mean --timeout-s?; there is no --colour"


@pytest.mark.parametrize("given", [["-p", "9000"], ["-p=9000"], ["-p9000"], ["-passwd", "9000"], ["AAPL", "-p", "-9000"]])
def test_a_short_option_is_refused_by_its_letter_alone(capsys: pytest.CaptureFixture[str], given: list[str]) -> None:
    """What is glued to it, or follows, is its value."""
    assert _refusal(capsys, *given) == "there is no -p"


def test_what_looks_like_no_options_name_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is what follows it."""
    for argument in ("-9", "-\N{LATIN SMALL LETTER E WITH ACUTE}", "--kye sesame", "---"):
        assert _refusal(capsys, argument, "sesame") == "there is no option of that kind"


def test_of_what_begins_with_a_known_name_nothing_behind_it_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """It may be a value that lacks its =; what may have been meant is said all the same."""
    assert _refusal(capsys, "--timeout-ssesame") == "there is no option of that kind; did you mean --timeout-s?"
    for glued in ("--redis-urlsesame", "--REDIS_URLsesame", "--redis-url-sesame=1"):
        assert (
            _refusal(capsys, glued) == "--redis-url is not taken from the command line, which everybody can read; set REDIS_URL"
        )


@pytest.mark.parametrize("dash", ["\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}", "\N{NON-BREAKING HYPHEN}"])
def test_an_option_behind_another_dash_is_refused_with_that_dash_alone(capsys: pytest.CaptureFixture[str], dash: str) -> None:
    """Programs that set text make one of two hyphens; what follows is a value."""
    said = f"an option begins with -, and {dash} is another dash"
    assert _refusal(capsys, f"{dash}redis-url", "sesame") == said
    assert _refusal(capsys, f"{dash}{dash}redis-url=sesame") == said
    assert _parser().parse_args(["--", f"{dash}sesame"]).symbols == [f"{dash}sesame"]


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that was right must not become wrong by an option that is added."""
    assert _refusal(capsys, "--time", "3").startswith("there is no --time")


def test_values_of_unknown_options_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """They may be keys with a slip in their option's name."""
    for arguments in (
        ["--kye", "sesame", "--kee=sesame"],
        ["--kye", "-sesame"],
        ["--kye", "--sesame"],
        ["--kye", "--", "sesame"],
        ["--kye", "ses ame", "open"],
        ["-k", "sesame"],
        ["-k", "-hsesame"],
        ["-ksesame"],
        ["-hsesame"],
        ["--help=sesame"],
        ["--timeout-s", "-sesame"],
        ["--timeout-s", "--sesame"],
        ["--redis-url", "--sesame"],
        ["-redis-url", "sesame"],
        ["--redis-url", "sesame"],
        ["--redis-url", "-sesame"],
        ["--timeout-s", "1", "redis://:sesame@cache", "--kye"],
        ["command", "--redis-url", "sesame"],
        ["--redis-url", "sesame", "command"],
        ["-k", "sesame", "command"],
        ["-k", "sesame", "open", "command"],
        ["command", "-k", "sesame"],
        ["redis://:sesame@cache", "command"],
        ["--", "redis://:sesame@cache", "command"],
        ["--", "command", "sesame"],
        ["--place", "here", "--", "sesame", "command"],
    ):
        parser = _parser() if "command" not in arguments else _with_commands()
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(arguments)
        assert ended.value.code == 2
        assert "sesame" not in capsys.readouterr().err, arguments


def test_an_argument_that_has_no_place_is_repeated_if_it_is_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else may be a secret."""
    for argument, said in (("MSFT", "there is no argument 'MSFT' here"), ("a://b@c", "there is no argument of that kind here")):
        with pytest.raises(SystemExit):
            Parser("decide try").parse_args([argument])
        assert said in capsys.readouterr().err


def test_nothing_behind_two_dashes_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """They are no argument themselves."""
    assert _parser().parse_args(["--", "--colour"]).symbols == ["--colour"]
    with pytest.raises(SystemExit):
        Parser("decide try").parse_args(["--", "MSFT"])
    assert "error: there is no argument 'MSFT' here\n" in capsys.readouterr().err


def test_what_begins_with_a_dash_can_be_a_value() -> None:
    """A number as it is, all else with a = before it."""
    assert _parser().parse_args(["--timeout-s", "-2"]).timeout_s == -2.0
    assert _with_commands().parse_args(["command", "--depth=-x"]).depth == "-x"


def _with_commands() -> Parser:
    made = Parser("decide try")
    made.secrets["redis-url"] = "set REDIS_URL"
    made.add_argument("--place")
    commands = made.add_subparsers(parser_class=Parser)
    commands.add_parser("command").add_argument("--depth")
    commands.add_parser("other")
    return made


def _command_refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        _with_commands().parse_args(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[0].removeprefix("decide try: error: ")


def test_an_option_in_the_wrong_place_is_told_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """And no value of it is repeated."""
    before = "--place stands before the command, as in `decide try --place … command`"
    assert _command_refusal(capsys, "command", "--place", "here", "--depth", "2") == before
    assert _command_refusal(capsys, "command", "--place=here") == before
    for arguments in (["other", "--depth", "2"], ["--depth", "2", "command"], ["--place", "command", "--depth", "2"]):
        assert _command_refusal(capsys, *arguments) == "--depth stands behind `decide try command`"
    assert _with_commands().parse_args(["--place", "here", "command", "--depth", "2"]).place == "here"


def test_an_unknown_command_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """By name if it is a word: it may be a key whose command was left out."""
    assert _command_refusal(capsys, "comand") == "there is no command 'comand'; there are: command, other"
    assert _command_refusal(capsys, "a://b@c") == "there is no command of that kind; there are: command, other"
    assert _command_refusal(capsys, "--colour", "red", "comand") == "there is no --colour"
    assert _command_refusal(capsys, "--", "command") == "a command stands before any --; there are: command, other"


def test_options_of_commands_are_known_and_offered(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip is told as in the parser above."""
    assert _with_commands().parse_args(["command", "--depth", "2"]).depth == "2"
    with pytest.raises(SystemExit):
        _with_commands().parse_args(["command", "--deep", "2"])
    assert "there is no --deep; did you mean --depth?" in capsys.readouterr().err


def test_a_secret_is_not_taken_and_the_way_it_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Without repeating it."""
    said = _refusal(capsys, "--redis-url=redis://:sesame@cache")
    assert said == "--redis-url is not taken from the command line, which everybody can read; set REDIS_URL"


def test_a_wrong_value_is_refused_with_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    """The usage, which may be long, is left to --help."""
    assert _refusal(capsys, "--timeout-s", "soon") == "argument --timeout-s: invalid float value: 'soon'"


def test_without_arguments_given_those_of_the_process_are_meant() -> None:
    """As ArgumentParser has it."""
    program = (
        "from app.arguments import Parser; made = Parser('decide try'); made.add_argument('word'); print(made.parse_args().word)"
    )
    command = [sys.executable, "-c", program, "given"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout == "given\n"
