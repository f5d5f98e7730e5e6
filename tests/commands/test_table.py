"""The table of commands, what is imported for each, and what makes shells complete them."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import shtab

from app.__main__ import main
from app.arguments import parse
from app.commands import completion, keys, version
from app.commands.market import PARTS
from app.commands.table import COMMANDS, NotInstalled, load
from app.setting_options import given_settings
from app.strangers import GONE
from app.version import VERSION
from tests.kit.servers import ROOT, clean_environment

_HEAVY = ("polars", "rich", "granian", "matplotlib", "numpy", "starlette", "redis", "prometheus_client", "opentelemetry")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_shows_how_it_is_called(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: decide {name}")
    assert "``" not in said
    assert len(said.splitlines()) > 5
    assert name == "version" or "xit codes: 0" in said


@pytest.mark.parametrize("name", PARTS)
def test_every_command_of_the_market_store_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for whole in (True, False):
        with pytest.raises(SystemExit) as ended:
            main([*name.split(), *(("--help",) if whole else ("--no-such-thing", "x"))])
        assert ended.value.code == (0 if whole else 2)
        said = capsys.readouterr()
        assert (said.out or said.err).startswith(f"usage: decide {name}")
        assert ("xit codes: 0" in said.out) == whole
        assert ("no --no-such-thing" in said.err or "required" in said.err) != whole


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_unknown_arguments_by_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    needed = {
        "ask": ["AAPL"],
        "keys": ["list"],
        "completion": ["bash"],
        "withdraw": ["AAPL"],
        "market": ["load", "trades.csv"],
        "sample": ["trades", "--out", "a.csv"],
        "dead-letters": ["list"],
        "ingest": ["--source", "synthetic"],
        "features": ["--out", "a.csv"],
    }
    with pytest.raises(SystemExit) as ended:
        main([name, *needed.get(name, []), "--no-such-thing"])
    assert ended.value.code == 2
    assert "--no-such-thing" in capsys.readouterr().err


def _modules(*arguments: str) -> set[str]:
    """Top-level packages and modules of ours that a command line leaves in a process."""
    program = f"import sys; sys.argv = ['decide', *{arguments!r}]; from app.__main__ import main\n"
    program += "try:\n  main()\nexcept SystemExit: pass\nprint('modules', *sys.modules)"
    environment = clean_environment({"PYTHONPATH": str(ROOT), "PORT": "none"})
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True)
    return set(ran.stdout.rpartition("modules ")[2].split())


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["version"], set()),
        (["ask", "AAPL", "--url", "http://127.0.0.1:1"], set()),
        (["serve"], {"granian", "redis"}),
        (["keys", "list"], {"redis"}),
        (["withdraw", "AAPL"], {"redis"}),
        (["migrate"], set()),
    ],
)
def test_commands_import_what_they_need_and_no_more(arguments: list[str], allowed: set[str]) -> None:
    modules = _modules(*arguments)
    assert {each for each in _HEAVY if each in modules} <= allowed
    assert not {"warm", "bench"} & modules


def test_help_of_the_market_store_imports_nothing_that_is_large() -> None:
    assert not {*_HEAVY} & _modules("market", "load", "--help")
    assert not {*_HEAVY} & _modules("sample", "trades", "--help")
    assert not {*_HEAVY} & _modules("features", "--help")


def test_a_library_that_is_not_installed_is_named_with_the_extra_that_has_it() -> None:
    """In place of a traceback; without site-packages there is none of them."""
    program = "import sys; sys.argv = ['decide', 'warm']; from app.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("decide: warm needs ")
    assert ran.stderr.endswith("which is not installed; install decide[warm], or requirements-warm.lock\n")


_GIVEN = {"sample": ["trades", "--out", "x.csv"], "ingest": ["--source", "synthetic"], "features": ["--out", "x.csv"]}
"""Without these they are wrong usage."""


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *((each, _GIVEN.get(each, [])) for each in COMMANDS if COMMANDS[each].extra),
        *((each, ["x.csv"]) for each in PARTS if PARTS[each].extra),
    ],
)
def test_help_needs_no_extra_and_the_command_itself_names_it(name: str, given: list[str], tmp_path: Path) -> None:
    """Whoever wonders whether to install it can read what it does."""
    program = (
        "import sys\n"
        "for missing in ('rich', 'hdrh', 'httptools', 'matplotlib', 'polars'): sys.modules[missing] = None\n"
        "from app.__main__ import main; sys.exit(main())"
    )
    environment = clean_environment({"PYTHONPATH": str(ROOT)})

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", program, *name.split(), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)

    helped = run("--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith(f"usage: decide {name}")
    ran = run(*given)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"decide: {name} needs ")
    assert f"install decide[{(COMMANDS | PARTS)[name].extra}]" in ran.stderr


def test_a_number_that_is_not_allowed_is_refused_with_what_is(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["ask", "A", "--price", "cheap"], "argument --price: 'cheap' is not allowed; allowed: a number, above 0"),
        (["ask", "A", "--price=-2"], "argument --price: '-2' is not allowed; allowed: a number, above 0"),
        (["ask", "A", "--max-age-s", "inf"], "argument --max-age-s: 'inf' is not allowed; allowed: a number, at least 0"),
        (["warm", "--max-rejects", "2"], "'2' is not allowed; allowed: a number, at least 0 and at most 1"),
        (["warm", "--memory-mb", "0"], "allowed: a whole number, at least 1 and at most 99,999,999"),
        (
            ["ask", "A", "--price", "\N{DIGIT ONE}\N{SUPERSCRIPT TWO}"],
            "a value of that kind is not allowed; allowed: a number, above 0",
        ),
        (["ask", "A", "--price", "nan"], "argument --price: 'nan' is not allowed; allowed: a number, above 0"),
        (["ask", "A", "--timeout-s=-1e999"], "argument --timeout-s: '-1e999' is not allowed; allowed: a number, above 0"),
        (["keys", "new", "--expires-days", "nan"], "'nan' is no number of days; allowed: above 0 and at most 36,500"),
        (["warm", "--memory-mb", "1.5"], "'1.5' is not allowed; allowed: a whole number, at least 1"),
        (["ask", "A", "--price", "redis://:sesame@h"], "a value of that kind is not allowed; allowed: a number, above 0"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in capsys.readouterr().err


def test_a_fault_of_our_own_is_no_missing_library() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"warm\.no_such_module"):
        load("warm", {"warm": COMMANDS["warm"]._replace(module="warm.no_such_module")})
    assert not issubclass(NotInstalled, ImportError)


def test_version_is_one_line_for_people_and_an_object_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"decide {VERSION} (package; policy hybrid ")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == line
    assert version.main(["--json"]) == 0
    assert f'"version": "{VERSION}"' in capsys.readouterr().out


def test_completion_repeats_no_shell_that_may_be_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    for given, said in (("redis://:sesame@h", "of that kind"), ("ksh", "'ksh'")):
        with pytest.raises(SystemExit) as ended:
            main(["completion", given])
        assert ended.value.code == 2
        assert f"there is no shell {said}; there are: bash, " in capsys.readouterr().err


def test_what_is_glued_to_a_secrets_option_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["serve", "--redis-passwordsesame"], "did you mean --redis-password-file?"),
        (["ask", "AAPL", "--keysesame"], "did you mean --key?"),
        (["withdraw", "--kye", "redis://:sesame@cache"], "there is no --kye"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        refused = capsys.readouterr().err
        assert said in refused
        assert "sesame" not in refused


def test_where_keys_are_can_be_said_before_and_behind_the_command() -> None:
    """What stands behind it is worth more."""
    given = parse(keys.make_parser(), ["--key-prefix", "a", "--store-path", "b", "list", "--store-path", "c"])
    assert given_settings(given) == {"KEY_PREFIX": "a", "STORE_PATH": "c"}


def test_completion_knows_every_command_and_option() -> None:
    script = shtab.complete(completion.whole_parser(), "bash")
    for table in (COMMANDS, PARTS):
        for name in table:
            assert name.split()[-1] in script
            for option in re.findall(r"(?m)^  (?:-\w, )?(--\S+)", load(name, table).make_parser().format_help()):
                assert option in script, (name, option)
    # Options of settings that went are taken, and offered to nobody.
    assert not [name for name in GONE if f"--{name.lower().replace('_', '-')}" in script]


def _completions(shell: str, words: str) -> str:
    executable = shutil.which(shell)
    if executable is None:
        pytest.skip(f"NO {shell.upper()}: completion was not tried in it")
    script = shtab.complete(completion.whole_parser(), shell)
    given, last = words.split(" "), len(words.split(" ")) - 1
    asked = f"COMP_WORDS=({' '.join(map(repr, given))}); COMP_CWORD={last}; _shtab_decide; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    return subprocess.run([executable, "-c", f"{script}\n{asked}"], capture_output=True, text=True, timeout=60, check=True).stdout


def test_bash_completes_commands_options_choices_and_files() -> None:
    assert {"serve", "warm", "demo"} <= set(_completions("bash", "decide ''").split())
    assert _completions("bash", "decide serve --l1-ttl").split() == ["--l1-ttl-s"]
    assert _completions("bash", "decide serve --clock re").split() == ["replay"]
    assert _completions("bash", "decide keys rev").split() == ["revoke"]
    assert _completions("bash", "decide withdraw --r").split() == ["--run", "--redis-url-file", "--redis-password-file"]
    assert _completions("bash", "decide warm --format lean").split() == ["lean", "lean-unscaled"]
    assert _completions("bash", "decide market re").split() == ["retain", "restore"]
    assert _completions("bash", "decide sample trades --process r").split() == ["random-walk"]
    assert _completions("bash", "decide market check --js").split() == ["--json"]
    assert _completions("bash", f"decide market load {ROOT}/pyproj").split() == [f"{ROOT}/pyproject.toml"]
    assert _completions("bash", f"decide warm --prices {ROOT}/pyproj").split() == [f"{ROOT}/pyproject.toml"]


@pytest.mark.parametrize("shell", shtab.SUPPORTED_SHELLS)
def test_completion_is_printed_for_every_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "decide" in script
    if shell in {"bash", "zsh", "fish"} and (executable := shutil.which(shell)):
        subprocess.run([executable, "-n", "/dev/stdin"], input=script, text=True, timeout=60, check=True)


def test_the_readme_of_app_names_every_shell() -> None:
    (row,) = re.findall(
        r"(?m)^\| `completion SHELL` \| for ([a-z, ]+):", (ROOT / "app" / "README.md").read_text(encoding="utf-8")
    )
    assert sorted(row.split(", ")) == sorted(shtab.SUPPORTED_SHELLS)


def test_the_extra_bench_is_what_the_group_bench_adds() -> None:
    """One is for those who install the package, the other for the harness's own environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    group, extra = project["dependency-groups"]["bench"], project["project"]["optional-dependencies"]["bench"]
    assert set(group) - set(project["project"]["dependencies"]) == set(extra)
