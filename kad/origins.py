"""Whose draw a token is."""

from __future__ import annotations

from typing import Literal

Origin = Literal["base", "proxy", "target"]
ORIGINS: tuple[Origin, ...] = ("base", "proxy", "target")
BASE, PROXY, TARGET = range(3)
