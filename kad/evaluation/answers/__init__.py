"""Answers out of texts: a number, boxed LaTeX, an option's letter; and whether two of them are the same.

One file a question: where a reply ends (`ending`), where it says what it answers (`claims`), what the three kinds read there
(`numbers`, `letters`, `formulas`), and when two formulas are the same (`typography`, `equality`, `symbolic`). Which of
several candidates wins is written down per kind in the guide, under "How answers are read".
"""

from .answer import Answer as Answer
from .formulas import Boxed as Boxed
from .letters import Letter as Letter
from .numbers import Number as Number
