"""Real tasks: questions, answers, methods, plans, and results that survive a kill.

The commands ``kad eval``, ``kad sweep``, ``kad tune`` and ``kad report`` are these functions with options.
"""

from .answers import Answer as Answer
from .answers import Boxed as Boxed
from .answers import Letter as Letter
from .answers import Number as Number
from .doubts import deferral as deferral
from .estimate import Footprint as Footprint
from .estimate import footprint as footprint
from .job import Job as Job
from .methods import Method as Method
from .plan import Block as Block
from .plan import Configuration as Configuration
from .plan import Plan as Plan
from .runner import run as run
from .store import Store as Store
from .store import read as read
from .summary import Comparison as Comparison
from .summary import Summary as Summary
from .summary import comparisons as comparisons
from .summary import summaries as summaries
from .task import Item as Item
from .task import Task as Task
from .tasks import FormTask as FormTask
