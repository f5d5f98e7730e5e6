"""Health check of the image: exit code 0 if ``/readyz`` of this container answers 200, 1 otherwise.

Run as ``python -I -S probe.py``, every few seconds in a container that may have one slow CPU: it imports next to nothing.
"""

import os
import socket
import sys
import time

_TIMEOUT_S = 3.0
_TRY_AGAIN_S = 0.05


def connect(host: str, port: str) -> socket.socket:
    """A connection to the server that listens as HOST and PORT say."""
    if not host.startswith("unix:"):
        return socket.create_connection(("127.0.0.1", int(port or 8000)), timeout=_TIMEOUT_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_TIMEOUT_S)
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            connection.connect(host.removeprefix("unix:"))
        except BlockingIOError:
            # A busy server's queue is full, which is no reason to restart it; over TCP the kernel would try again by itself.
            if time.monotonic() > deadline:
                connection.close()
                raise
            time.sleep(_TRY_AGAIN_S)
        except OSError:
            connection.close()
            raise
        else:
            return connection


def main() -> int:
    """Ask once."""
    host, port = os.environ.get("HOST", ""), os.environ.get("PORT", "")
    try:
        with connect(host, port) as connection:
            # With PROBES_ACCESS=keys.
            key = os.environ.get("DECIDE_API_KEY", "")
            head = f"X-API-Key: {key}\r\n" if key else ""
            connection.sendall(f"GET /readyz HTTP/1.1\r\nHost: localhost\r\n{head}Connection: close\r\n\r\n".encode())
            answer = connection.recv(64)
    except OSError as error:
        where = host if host.startswith("unix:") else f"127.0.0.1:{port or 8000}"
        print(f"nobody answers at {where}: {error}")
        return 1
    print(answer.split(b"\r\n", 1)[0].decode("latin-1"))
    return 0 if answer.startswith(b"HTTP/1.1 200 ") else 1


if __name__ == "__main__":
    sys.exit(main())
