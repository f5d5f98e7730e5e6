"""GET /docs and what it loads."""

import re
import tomllib

import pytest

from app.routes.docs import POLICY
from tests.kit.servers import ROOT
from tests.kit.serving import Served, problem_of

_TYPES = {
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/docs.css": "text/css; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/favicon.png": "image/png",
}


@pytest.mark.parametrize("path", _TYPES)
def test_the_page_and_its_files_have_their_types_and_are_asked_for_again_cheaply(served: Served, path: str) -> None:
    answer = served.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, _TYPES[path])
    assert answer.headers["cache-control"] == "no-cache"
    again = served.get(path, if_none_match=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    head = served.request("HEAD", path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])
    problem_of(served.request("POST", path), 405, "method-not-allowed")


def test_the_page_loads_exactly_what_is_served_with_it_and_runs_nothing_inline(served: Served) -> None:
    answer = served.get("/docs")
    loaded = set(re.findall(r'(?:src|href)="([^"]+)"', answer.text))
    assert loaded == {path[1:] for path in _TYPES if path != "/docs"} | {"openapi.json"}
    assert re.findall(r"<script(?! src=)|<style|style=|\son\w+=", answer.text) == []
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert not re.search(r"https?:", POLICY)


def test_redoc_leads_to_the_page_also_behind_a_path_prefix(served: Served) -> None:
    answer = served.get("/redoc")
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")
    with Served(pages="off") as without:
        problem_of(without.get("/redoc"), 404, "not-found")


def test_nothing_else_that_is_kept_beside_the_files_is_served(served: Served) -> None:
    kept = ROOT / "app" / "docs" / "swagger-ui"
    assert served.get("/docs/swagger-ui.css").content == kept.joinpath("swagger-ui.css").read_bytes()
    assert kept.joinpath("LICENSE").is_file()
    for name in ("index.html", "LICENSE", "VERSION", "swagger-ui/VERSION", "../main.py", "%2e%2e/main.py"):
        assert served.get(f"/docs/{name}").status_code == 404, name


def test_an_install_of_the_package_brings_no_other_framework() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))
    assert "override-dependencies" not in project["tool"].get("uv", {})
    locked = ROOT.joinpath("requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"(?m)^(flask|werkzeug|jinja2)\b", locked)
