"""Pin what is fetched by a tag: ``python3 ops/pins.py images|actions`` (what `just pin` calls).

A tag can be moved, a digest cannot. ``images`` asks the registries for the digest of each image that the Compose file and the
Dockerfile name and writes ``ops/images.env``, which the stack uses where it is. ``actions`` asks GitHub for the commit behind the
tag of each action in the workflows and writes it in the tag's place, with the tag behind it. Nothing is written unless everything
was answered, and nothing is ever written that was not an answer.

It needs Docker with buildx, or git, and nothing but Python's standard library.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = Path("ops") / "images.env"
SOURCES = (Path("ops") / "compose.yaml", Path("ops") / "Dockerfile")
WORKFLOWS = Path(".github") / "workflows"
_IMAGE = re.compile(r"\$\{(?P<compose>[A-Z]+_IMAGE):-(?P<default>[^}]+)\}|(?m:^)ARG (?P<arg>[A-Z]+_IMAGE)=(?P<value>\S+)")
_ACTION = re.compile(r"(?m)^(?P<head>\s*(?:- )?uses: )(?P<action>[\w.-]+/[\w./-]+)@(?P<ref>[\w./-]+)(?: # (?P<tag>\S+))?$")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HEAD = "# Made by `just pin images` from the registries' answers: the images of the stack and of the builds.\n"
Run = Callable[[Sequence[str]], str]
"""Runs a command and returns what it printed."""


class Refused(Exception):
    """Why nothing was written, for people."""


def run(command: Sequence[str]) -> str:
    """What ``command`` prints.

    Raises:
        Refused: it cannot be run, or fails.
    """
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise Refused(f"{command[0]} cannot be started: {error}") from error
    if done.returncode:
        raise Refused(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def images(root: Path) -> dict[str, str]:
    """The images by tag, by the variables that stand for them."""
    found = {}
    for path in SOURCES:
        for match in _IMAGE.finditer((root / path).read_text(encoding="utf-8")):
            found[match["compose"] or match["arg"]] = match["default"] or match["value"]
    return found


def digest_of(image: str, run: Run) -> str:
    """What the registry says ``image`` is, for all platforms together.

    Raises:
        Refused: it does not say.
    """
    said = run(["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", image]).strip()
    if not _DIGEST.fullmatch(said):
        raise Refused(f"the registry's answer for {image} is no digest: {said[:80]!r}")
    return said


def pin_images(root: Path, run: Run) -> str:
    """Write `IMAGES` and return its text; raises `Refused`."""
    lines = [f"{name}={image}@{digest_of(image, run)}\n" for name, image in sorted(images(root).items())]
    text = _HEAD + "".join(lines)
    (root / IMAGES).write_text(text, encoding="utf-8")
    return text


def commit_of(action: str, tag: str, run: Run) -> str:
    """The commit that ``tag`` of ``action``'s repository stands for.

    Raises:
        Refused: GitHub does not say.
    """
    repository = "/".join(action.split("/")[:2])
    said = run(["git", "ls-remote", f"https://github.com/{repository}", f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}"])
    found: Mapping[str, str] = {ref: commit for commit, _, ref in (line.partition("\t") for line in said.splitlines())}
    # Of an annotated tag the second one is the commit, and the first the tag's own object.
    commit = found.get(f"refs/tags/{tag}^{{}}") or found.get(f"refs/tags/{tag}", "")
    if not _COMMIT.fullmatch(commit):
        raise Refused(f"{repository} has no tag {tag}, by GitHub's answer {said[:80]!r}")
    return commit


def pin_actions(root: Path, run: Run) -> str:
    """Write the workflows anew and return what is pinned in them now, a line each; raises `Refused`."""
    written, pinned = {}, []
    for path in sorted((root / WORKFLOWS).glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        for match in reversed(list(_ACTION.finditer(text))):
            tag = match["tag"] or match["ref"]
            now = f"{match['head']}{match['action']}@{commit_of(match['action'], tag, run)} # {tag}"
            text = text[: match.start()] + now + text[match.end() :]
            pinned.append(f"{path.name}: {now.strip()}\n")
        written[path] = text
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return "".join(sorted(pinned))


def main() -> int:
    """Exit codes: 0 pinned, 1 nothing was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("images", "actions"))
    pin = {"images": pin_images, "actions": pin_actions}[parser.parse_args().what]
    try:
        print(pin(ROOT, run), end="")
    except Refused as refused:
        print(f"refused: {refused}; nothing was written", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
