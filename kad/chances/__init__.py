"""Where a decoder's decisions come from: everything that is drawn is asked of a `Chance`."""

from .chance import Chance as Chance
from .chance import passed as passed
from .looked import Looked as Looked
from .sampled import Agreed as Agreed
from .sampled import Greedy as Greedy
from .sampled import PerRow as PerRow
from .sampled import Sampled as Sampled
from .sampled import seed_from as seed_from
