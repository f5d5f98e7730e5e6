"""The scripts of ``ops`` as modules of their own."""

import importlib.util
from pathlib import Path
from types import ModuleType

from tests.kit.servers import ROOT


def load_script(name: str) -> ModuleType:
    """That one, anew."""
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", ROOT / "ops" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_stack(folder: Path) -> ModuleType:
    """``stack.py`` with its secrets and variables under ``folder``."""
    module = load_script("stack")
    module.ROOT = folder  # type: ignore[attr-defined]
    module.OPS = folder / "ops"  # type: ignore[attr-defined]
    module.SECRETS = folder / "ops" / "secrets"  # type: ignore[attr-defined]
    (folder / "ops").mkdir()
    return module
