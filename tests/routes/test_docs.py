"""GET /docs and what it loads."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.routes.docs import POLICY
from tests.routes.serving import Served, problem_of
from tests.servers import ROOT

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
    """Each with an ETag; who has it gets 304 and no body."""
    answer = served.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, _TYPES[path])
    assert answer.headers["cache-control"] == "no-cache"
    again = served.get(path, if_none_match=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    head = served.request("HEAD", path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])
    problem_of(served.request("POST", path), 405, "method-not-allowed")


def test_the_page_loads_exactly_what_is_served_with_it_and_runs_nothing_inline(served: Served) -> None:
    """Its policy allows this server alone, and so no inline script or style."""
    answer = served.get("/docs")
    loaded = set(re.findall(r'(?:src|href)="([^"]+)"', answer.text))
    assert loaded == {path[1:] for path in _TYPES if path != "/docs"} | {"openapi.json"}
    assert re.findall(r"<script(?! src=)|<style|style=|\son\w+=", answer.text) == []
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert not re.search(r"https?:", POLICY)


def test_redoc_leads_to_the_page_also_behind_a_path_prefix(served: Served) -> None:
    """By a relative address, and to anybody, as the page itself."""
    answer = served.get("/redoc")
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")
    with Served(pages="off") as without:
        problem_of(without.get("/redoc"), 404, "not-found")


def test_the_files_are_those_of_the_package_and_nothing_else_of_it_is_served(served: Served) -> None:
    """Swagger UI's own licence, and its other builds, stay where they are."""
    spec = find_spec("flask_swagger_ui")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "dist"
    assert served.get("/docs/swagger-ui.css").content == (installed / "swagger-ui.css").read_bytes()
    for name in ("index.html", "oauth2-redirect.html", "swagger-ui.js", "../main.py", "%2e%2e/main.py"):
        assert served.get(f"/docs/{name}").status_code == 404, name


def test_serving_swagger_ui_imports_neither_its_package_nor_flask() -> None:
    """The package is there for its files; what its code needs is not installed."""
    program = (
        "import sys; from app.routes.docs import docs_page; docs_page(); "
        "sys.exit(bool({'flask', 'flask_swagger_ui'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
