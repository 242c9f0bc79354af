"""The server of `kad play`: one page, a few addresses beside it, and answers as server-sent events.

Nothing of a visitor stays: an answer lives as long as its connection, and its models compute only while somebody reads.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as Visit
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..errors import said
from .asked import question_of
from .stage import Stage
from .watched import Event

logger = logging.getLogger(__name__)
FOLDER_OF_PAGE = Path(__file__).parent
ADDRESSES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
}  # fmt: skip
LOOPBACK = ("127.0.0.1", "::1")
MOST_BYTES, MOST_WAITING = 200_000, 32
PATIENCE = 60.0  # seconds that one visitor may take to read what was sent, while others wait


class Waiting:
    """Visitors in the order in which they came; the first of them has the models."""

    def __init__(self) -> None:
        self.line, self.moved = list[object](), anyio.Event()

    async def turn(self, visitor: object) -> AsyncGenerator[int]:
        """How many are before this visitor, whenever that changes; it ends when it is their turn."""
        while before := self.line.index(visitor):
            moved = self.moved
            yield before
            await moved.wait()

    def leave(self, visitor: object) -> None:
        self.line.remove(visitor)
        moved, self.moved = self.moved, anyio.Event()
        moved.set()


class Events(StreamingResponse):
    """Server-sent events, of which none is made once nobody listens."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patient(message: Any) -> None:
            with anyio.fail_after(PATIENCE):
                await send(message)

        # Of servers that speak a later version, Starlette learns only by sending that a visitor has gone: not in the line.
        earlier = {**scope, "asgi": {**scope.get("asgi", {}), "spec_version": "2.3"}}
        try:
            await super().__call__(earlier, receive, patient)
        except* TimeoutError:
            logger.info("a visitor does not read, and has lost their turn")
        finally:
            with anyio.CancelScope(shield=True):
                await self.body_iterator.aclose()  # type: ignore[attr-defined]


class Theatre:
    """The addresses of a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.waiting = stage, Waiting()
        self.hands = anyio.CapacityLimiter(1)  # models are asked by one thread at a time

    async def page(self, visit: Visit) -> Response:
        name, kind = ADDRESSES[visit.url.path]
        return FileResponse(FOLDER_OF_PAGE / name, media_type=kind, headers=HEADERS)

    async def about(self, visit: Visit) -> Response:
        return JSONResponse(await run_sync(lambda: self.stage.about), headers=HEADERS)

    async def example(self, visit: Visit) -> Response:
        if not self.stage.embedded:
            raise HTTPException(404, "there are examples for the embedded pair only.")
        number = visit.query_params.get("n", "0")
        if not number.isdecimal() or len(number) > 9:
            raise HTTPException(400, "an example has a number.")
        return JSONResponse({"prompt": self.stage.example(int(number))}, headers=HEADERS)

    async def watch(self, visit: Visit) -> Response:
        """A question; its answers are the events of the response."""
        if visit.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "a question comes as application/json.")  # so no other site's form can ask
        question = question_of(await told(visit), self.stage.most)
        if len(self.waiting.line) >= MOST_WAITING:
            raise HTTPException(503, f"{MOST_WAITING} visitors wait already; come back later.")
        lines = self.lines(self.stage.answers(question))
        return Events(lines, media_type="text/event-stream", headers=HEADERS)

    async def lines(self, answers: Iterator[Event]) -> AsyncGenerator[str]:
        """Wait for one's turn; then an event after another, each made when the one before it has been sent."""
        visitor = object()
        self.waiting.line.append(visitor)
        try:
            async with aclosing(self.waiting.turn(visitor)) as turn:
                async for before in turn:
                    yield line_of({"type": "waiting", "before": before})
            while (event := await run_sync(next, answers, None, limiter=self.hands)) is not None:
                yield line_of(event)
        finally:
            self.waiting.leave(visitor)
            answers.close()  # type: ignore[attr-defined]


async def told(visit: Visit) -> object:
    """The JSON of a request, of bounded length."""
    body = b""
    async for part in visit.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"a question has at most {MOST_BYTES:,} bytes.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "a question must be JSON.") from None


def line_of(event: Event) -> str:
    return f"data: {json.dumps(event, allow_nan=False)}\n\n"


async def in_words(visit: Visit, error: Exception) -> Response:
    """What is wrong with a request, as a sentence."""
    refused = isinstance(error, HTTPException)
    sentence = error.detail if refused else said(error)  # type: ignore[attr-defined]
    return JSONResponse({"error": sentence}, error.status_code if refused else 400, headers=HEADERS)  # type: ignore[attr-defined]


def theatre_of(stage: Stage, host: str) -> uvicorn.Server:
    """The server of a stage that listens at ``host``; it is to be run with a socket.

    On this machine alone it answers under this machine's names alone: else another site could reach it under a name of its own.
    """
    theatre = Theatre(stage)
    application = Starlette(
        routes=[
            *(Route(path, theatre.page) for path in ADDRESSES),
            Route("/about", theatre.about), Route("/example", theatre.example),
            Route("/watch", theatre.watch, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts_of(host), www_redirect=False)],
        exception_handlers={ValueError: in_words, HTTPException: in_words},
    )  # fmt: skip
    # A visitor who reads on does not keep the server from ending.
    return uvicorn.Server(
        uvicorn.Config(application, log_level="warning", ws="none", lifespan="off", timeout_graceful_shutdown=1)
    )


def hosts_of(host: str) -> list[str]:
    """Under which names a server at this address answers; ``*`` is any.

    >>> hosts_of("127.0.0.1"), hosts_of("0.0.0.0")
    (['localhost', '127.0.0.1', '::1', '[::1]'], ['*'])
    """
    return ["localhost", *LOOPBACK, "[::1]"] if host in LOOPBACK else ["*"]
