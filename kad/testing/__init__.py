"""Conformance suites: ``check_loss``, ``check_solver``, ``check_target``, ``check_chance`` and ``check_engine`` for classes of your own.

Each raises an AssertionError with one sentence that says which claim failed and on what input. kad's own classes go
through the same suites in its tests.
"""

from .chances import check_chance as check_chance
from .engines import check_engine as check_engine
from .values import check_loss as check_loss
from .values import check_solver as check_solver
from .values import check_target as check_target
