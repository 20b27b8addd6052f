"""Readers of one page: `python -m tests.benchmarks.readers PORT PATH CONNECTIONS SECONDS RATE`.

Each keeps its connection and asks again as soon as all have been answered. A RATE of 0 sets no limit. Prints answers a
second, and whether all were 200. It does as little as it can, because it shares the cores with what it measures.
"""

import re
import socket
import sys
import time

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


def read(reader: socket.socket) -> bool:
    """Read one answer to its end. Whether it was 200."""
    answer = reader.recv(65_536)
    head = answer.index(b"\r\n\r\n")
    said = _LENGTH.search(answer[: head + 2])
    assert said, answer[:head]
    missing = head + 4 + int(said[1]) - len(answer)
    while missing > 0:
        missing -= len(reader.recv(65_536))
    return answer.startswith(b"HTTP/1.1 200")


def main(port: int, path: str, connections: int, seconds: float, rate: float) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: en\r\n\r\n".encode()
    readers = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    answered, is_well = 0, True
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        if rate and answered > rate * passed:
            time.sleep(0.001)
            continue
        for reader in readers:
            reader.sendall(request)
        for reader in readers:
            is_well &= read(reader)
        answered += connections
    print(answered / (time.perf_counter() - began), int(is_well))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
