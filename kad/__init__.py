"""kad: align a large base model at decoding time with a small aligned one."""

from .decoding.generate import Output as Output
from .decoding.generate import decoder as decoder
from .decoding.generate import generate as generate
from .decoding.trace import TokenTrace as TokenTrace
from .decoding.trace import Trace as Trace
from .distributions import softmax as softmax
from .distributions import total_variation as total_variation
from .losses import Brier as Brier
from .losses import ConfidenceBet as ConfidenceBet
from .losses import Logistic as Logistic
from .losses import Loss as Loss
from .losses import Nudging as Nudging
from .losses import Perceptron as Perceptron
from .losses import Squared as Squared
from .losses import ZeroOne as ZeroOne
from .mixture import Base as Base
from .mixture import ImplicitReward as ImplicitReward
from .mixture import Mixture as Mixture
from .mixture import Proxy as Proxy
from .mixture import Target as Target
from .mixture import confidence_bet as confidence_bet
from .mixture import dual as dual
from .mixture import fractional as fractional
from .mixture import implicit_reward as implicit_reward
from .mixture import mix as mix
from .mixture import nudging as nudging
from .mixture import primal as primal
from .solvers import Brute as Brute
from .solvers import Dual as Dual
from .solvers import Fractional as Fractional
from .solvers import Primal as Primal
from .solvers import Solution as Solution
from .solvers import Solver as Solver
from .solvers import solve as solve

__version__ = "0.1.0"
