"""Run beside a server, by Python's standard library alone: hold many connections, each of which stays with one worker, and ask on
all of them again and again until standard input ends; then print of each which worker it was with, and which runs it was answered
from, in order.
"""

import http.client
import json
import sys
import threading

_CONNECTIONS = 24


class Follower(threading.Thread):
    """One connection."""

    def __init__(self, ended: threading.Event) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.runs: list[str] = []
        self.worker = 0
        self._ended = ended

    def run(self) -> None:
        """Ask, once more after the end, and at last who it was that answered."""
        connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=10)
        last = False
        while not last:
            last = self._ended.wait(0.02)
            connection.request("POST", "/decide", json.dumps({"symbol": "ACME"}), {"Content-Type": "application/json"})
            run = str(json.loads(connection.getresponse().read())["cache"]["run"])
            if self.runs[-1:] != [run]:
                self.runs.append(run)
            self.begun.set()
        connection.request("GET", "/live")
        answer = connection.getresponse()
        while not (line := answer.readline()).startswith(b"data:"):
            pass
        self.worker = json.loads(line.removeprefix(b"data:"))["worker"]


def main() -> None:
    """Say how many have begun, follow, and tell."""
    ended = threading.Event()
    followers = [Follower(ended) for _ in range(_CONNECTIONS)]
    for each in followers:
        each.start()
    print(sum(each.begun.wait(20) for each in followers), flush=True)
    sys.stdin.read()
    ended.set()
    for each in followers:
        each.join()
    print(json.dumps([(each.worker, each.runs) for each in followers]), flush=True)


if __name__ == "__main__":
    main()
