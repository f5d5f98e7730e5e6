"""The one place the version stands (a test holds pyproject.toml against it)."""

VERSION = "0.1.0"
