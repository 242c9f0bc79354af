"""``python -m kad``."""

from .cli.main import entry

entry()
