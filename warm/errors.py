"""What stops a warm run before anything is written. A leaf."""

from app.errors import DecideError


class InputRefused(DecideError):
    """The input cannot be used; the message is one line that names the file and what is allowed. Exit code 1."""
