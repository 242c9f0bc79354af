"""What writes texts of a target: behind one interface, so that everything above can use another."""

from .engine import CAPABILITIES as CAPABILITIES
from .engine import Engine as Engine
from .engine import Generated as Generated
from .engine import Generations as Generations
from .engine import Scores as Scores
from .engine import Settings as Settings
from .huggingface import HuggingFace as HuggingFace
