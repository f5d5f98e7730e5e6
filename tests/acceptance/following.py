"""Run beside a server, by Python's standard library alone: hold many connections, each of which stays with one worker, and ask on
all of them again and again until standard input ends; then print which runs each of them was answered from, in order.
"""

import http.client
import json
import sys
import threading
import time

_CONNECTIONS = 24


def follow(told: dict[str, list[str]], name: str, ended: threading.Event) -> None:
    """One connection."""
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=10)
    while True:
        last = ended.is_set()
        connection.request("POST", "/decide", json.dumps({"symbol": "ACME"}), {"Content-Type": "application/json"})
        run = str(json.loads(connection.getresponse().read())["cache"]["run"])
        if told[name][-1:] != [run]:
            told[name].append(run)
        if last:
            return
        time.sleep(0.02)


def workers() -> list[str]:
    """Which workers answer new connections."""
    seen = set()
    for _ in range(_CONNECTIONS):
        connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=10)
        connection.request("GET", "/live")
        answer = connection.getresponse()
        while not (line := answer.readline()).startswith(b"data:"):
            pass
        seen.add(str(json.loads(line.removeprefix(b"data:"))["worker"]))
        connection.close()
    return sorted(seen)


def main() -> None:
    """Say that it has begun, follow, and tell."""
    told: dict[str, list[str]] = {str(number): [] for number in range(_CONNECTIONS)}
    ended = threading.Event()
    threads = [threading.Thread(target=follow, args=(told, name, ended)) for name in told]
    for thread in threads:
        thread.start()
    print(json.dumps(workers()), flush=True)
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps(list(told.values())), flush=True)


if __name__ == "__main__":
    main()
