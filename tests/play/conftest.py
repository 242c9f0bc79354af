"""A real server on a port of its own, and a client that is no browser."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import kad
from kad.checkpoints import load_checkpoints
from kad.play.server import theatre_of
from kad.play.stage import Stage

QUESTION = "tom has 6 apples . he loses 2 . he finds 9 more . how many apples does tom have now ?"
ENDLESS = {"prompt": "count 3 4", "new_tokens": 4000, "columns": [{"method": "p", "temperature": 5.0}]}


@dataclass
class Served:
    """A stage, and where it is served."""

    stage: Stage
    port: int

    def open(
        self, told: Any, kind: str = "application/json"
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask; the connection is the caller's to close."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        connection.request("POST", "/watch", body, {"Content-Type": kind})
        return connection, connection.getresponse()

    def ask(self, told: Any) -> list[dict]:
        """All events of a question."""
        connection, response = self.open(told)
        with connection.sock or response:
            assert response.status == 200, response.read()
            return list(events_of(response))

    def refused(self, told: Any, kind: str = "application/json") -> tuple[int, str]:
        """The status and the sentence."""
        connection, response = self.open(told, kind)
        try:
            return response.status, json.loads(response.read())["error"]
        finally:
            connection.close()

    def get(self, path: str, host: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        response = connection.getresponse()
        try:
            return response.status, response.read()
        finally:
            connection.close()


def events_of(response: http.client.HTTPResponse) -> Iterator[dict]:
    """The events of a response as they come."""
    for line in response:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


@pytest.fixture(scope="session")
def pair() -> kad.Pair:
    return kad.demo.load()


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """The embedded pair."""
    stage = Stage(load_checkpoints({}), 4000, embedded=True)
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = theatre_of(stage, "127.0.0.1")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        yield Served(stage, door.getsockname()[1])
        server.should_exit = True
        thread.join()
