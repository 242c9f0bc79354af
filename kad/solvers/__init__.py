"""Deferral solvers, one file each."""

from ..cut import Cut as Cut
from .base import Proof as Proof
from .base import Solution as Solution
from .base import Solver as Solver
from .base import solve as solve
from .brute import Brute as Brute
from .dual import Dual as Dual
from .exact import Exact as Exact
from .fractional import Fractional as Fractional
from .or_tools import OrTools as OrTools
from .parameters import entries as entries
from .parameters import one_number as one_number
from .parameters import parameter as parameter
from .primal import Primal as Primal
