"""Deferral solvers, a file for each kind."""

from ..cut import Cut as Cut
from .base import Proof as Proof
from .base import Solution as Solution
from .base import Solver as Solver
from .base import solve as solve
from .brute import Brute as Brute
from .dual import Dual as Dual
from .exact import Exact as Exact
from .greedy import Fractional as Fractional
from .greedy import Primal as Primal
from .or_tools import OrTools as OrTools
from .soft import Soft as Soft
