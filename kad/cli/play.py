"""``kad play``."""

from __future__ import annotations

import socket

from ..checkpoints import given_places, load_checkpoints
from ..checks import whole
from ..errors import asked, said
from ..extras import need
from ..terminal import Console, loading
from .watching import Play


def play(o: Play) -> None:
    """Load the models, and serve the page until interrupted."""
    with asked():
        whole("--max-new-tokens", o.max_new_tokens, 1)
        if not 0 <= o.port < 2**16:
            raise ValueError(f"--port must lie in [0, 65535], got {o.port}.")
        given_places(o.places)
    need("kad play", "starlette", "uvicorn")
    from ..play.server import LOOPBACK, theatre_of
    from ..play.stage import Stage

    with listening(o.host, o.port) as door:
        with loading(o.places):
            loaded = load_checkpoints(o.places, o.dtype, o.device)
        stage = Stage(loaded, o.max_new_tokens, embedded=o.base is None)
        host, port = door.getsockname()[:2]
        console = Console()
        console.print(
            f"kad: open http://{f'[{host}]' if ':' in host else host}:{port}/ in a browser; Ctrl-C ends it.",
            soft_wrap=True,
        )
        if host not in LOOPBACK:
            console.print("kad: whoever can reach this machine can use the page.", soft_wrap=True)
        try:
            theatre_of(stage, host).run(sockets=[door])
        except KeyboardInterrupt:  # which uvicorn raises again once it has ended
            return


def listening(host: str, port: int) -> socket.socket:
    """A socket; a port that is taken, or a host that is none of this machine's, is one sentence."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ValueError(f"cannot listen on {host}, port {port}: {error.strerror or said(error)}.") from error
