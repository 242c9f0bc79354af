"""kad: align a large base model at decoding time with a small aligned one.

Names are loaded when they are used: ``kad.softmax`` needs no transformers, and the command line neither them nor torch.
"""

from . import started as _started  # isort: skip # before any library is imported

from typing import TYPE_CHECKING

from .version import VERSION as __version__

if TYPE_CHECKING:  # what follows for people and their tools; for Python below, and a test keeps both the same
    from . import cascades as cascades
    from . import demo as demo
    from . import plots as plots
    from . import testing as testing
    from . import theory as theory
    from .chances import Chance as Chance
    from .chances import Greedy as Greedy
    from .chances import Sampled as Sampled
    from .decoding.decoder import Output as Output
    from .decoding.decoder import decoder as decoder
    from .decoding.deferral import DeferralShare as DeferralShare
    from .decoding.fields import Options as Options
    from .decoding.generate import generate as generate
    from .decoding.packed import pack_weights as pack_weights
    from .decoding.pair import Pair as Pair
    from .decoding.rounds import Round as Round
    from .decoding.trace import TokenTrace as TokenTrace
    from .decoding.trace import Trace as Trace
    from .decoding.window import AutoWindow as AutoWindow
    from .decoding.wrappers import release as release
    from .distributions import softmax as softmax
    from .distributions import total_variation as total_variation
    from .gap import Gap as Gap
    from .gap import gaps as gaps
    from .losses import Brier as Brier
    from .losses import ConfidenceBet as ConfidenceBet
    from .losses import Logistic as Logistic
    from .losses import Loss as Loss
    from .losses import Nudging as Nudging
    from .losses import Perceptron as Perceptron
    from .losses import Squared as Squared
    from .losses import ZeroOne as ZeroOne
    from .mixture import Base as Base
    from .mixture import Ensemble as Ensemble
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
    from .solvers import Cut as Cut
    from .solvers import Dual as Dual
    from .solvers import Exact as Exact
    from .solvers import Fractional as Fractional
    from .solvers import OrTools as OrTools
    from .solvers import Primal as Primal
    from .solvers import Proof as Proof
    from .solvers import Soft as Soft
    from .solvers import Solution as Solution
    from .solvers import Solver as Solver
    from .solvers import solve as solve
    from .stateful import Paced as Paced
    from .stateful import Stateful as Stateful
    from .stateful import paced as paced
    from .vocabulary_map import VocabularyMap as VocabularyMap
else:
    import importlib.util as _util
    from importlib import import_module as _import_module

    _HOMES = {
        "chances": "Chance Greedy Sampled",
        "decoding.decoder": "Output decoder",
        "decoding.deferral": "DeferralShare",
        "decoding.fields": "Options",
        "decoding.generate": "generate",
        "decoding.packed": "pack_weights",
        "decoding.pair": "Pair",
        "decoding.rounds": "Round",
        "decoding.trace": "TokenTrace Trace",
        "decoding.window": "AutoWindow",
        "decoding.wrappers": "release",
        "distributions": "softmax total_variation",
        "gap": "Gap gaps",
        "losses": "Brier ConfidenceBet Logistic Loss Nudging Perceptron Squared ZeroOne",
        "mixture": "Base Ensemble ImplicitReward Mixture Proxy Target confidence_bet dual fractional implicit_reward mix nudging primal",
        "solvers": "Brute Cut Dual Exact Fractional OrTools Primal Proof Soft Solution Solver solve",
        "stateful": "Paced Stateful paced",
        "vocabulary_map": "VocabularyMap",
    }
    _HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
    _MODULES = ("cascades", "demo", "plots", "testing", "theory")

    def __getattr__(name):
        """A public name from where it lives, or a module of this package."""
        if name in _HOME_OF:
            found = getattr(_import_module(f".{_HOME_OF[name]}", __name__), name)
        elif name.startswith("_") or not _util.find_spec(f".{name}", __name__):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        else:
            found = _import_module(f".{name}", __name__)
        globals()[name] = found
        return found

    def __dir__():
        return sorted({*globals(), *_HOME_OF, *_MODULES})
