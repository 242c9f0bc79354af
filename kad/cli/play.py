"""``kad play``."""

from __future__ import annotations

import socket

from ..checkpoints import load_checkpoints
from ..checks import whole
from ..errors import said
from ..extras import need
from ..terminal import Console
from .watching import Play


def play(o: Play) -> None:
    """Load the models, listen, and serve until interrupted."""
    whole("--max-new-tokens", o.max_new_tokens, 1)
    if not 0 <= o.port < 2**16:
        raise ValueError(f"--port must lie in [0, 65535], got {o.port}.")
    need("kad play", "starlette", "uvicorn")
    import uvicorn

    from ..play.server import theatre_of
    from ..play.stage import Stage

    listening = listen(o.host, o.port)
    with listening:
        stage = Stage(load_checkpoints(o.places, o.dtype, o.device), o.max_new_tokens, embedded=o.base is None)
        host, port = listening.getsockname()[:2]
        local = host in LOOPBACK
        application = theatre_of(stage, [*LOOPBACK, "localhost", "[::1]"] if local else ["*"])
        named = f"[{host}]" if ":" in host else host
        console = Console()
        console.print(f"kad: open http://{named}:{port}/ in a browser; Ctrl-C ends it.", soft_wrap=True)
        if not local:
            console.print("kad: whoever can reach this machine can use the page.", soft_wrap=True)
        config = uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=1, lifespan="off")
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:  # which uvicorn raises again once it has ended
            return


LOOPBACK = ("127.0.0.1", "::1")


def listen(host: str, port: int) -> socket.socket:
    """A socket; a port that is taken or a host that is none is one sentence."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ValueError(f"cannot listen on {host}, port {port}: {said(error)}; choose another with --port.") from error
