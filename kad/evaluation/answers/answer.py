"""What a kind of answer is: how it is found in a text, and when two are equal."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar


class Answer(ABC):
    """One kind of answer: how to find it in a text, and when two are equal.

    Subclass it for another kind; `extract` returns None where a text answers nothing, which is then wrong. Besides the text an
    `extract` may take ``finished`` (whether the text ended by itself, not at the limit of tokens) and ``options`` (the texts of
    the question's options, A first); one that takes neither is given neither.

    Attributes:
        needs: optional libraries, by their import names, without which it cannot compare.
        grader: the version of its rules; another one may give other verdicts on the same text.

    >>> class YesOrNo(Answer):
    ...     def extract(self, text):
    ...         return next((word for word in ("yes", "no") if word in text.lower().split()), None)
    ...     def equal(self, answer, gold):
    ...         return answer == gold
    >>> YesOrNo().score("Well, yes", "yes")
    ('yes', True)
    """

    needs: ClassVar[tuple[str, ...]] = ()
    grader: ClassVar[str] = "1"
    _takes: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        parameters = inspect.signature(cls.extract).parameters.values()
        anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        named = {parameter.name for parameter in parameters}
        cls._takes = frozenset(name for name in ("finished", "options") if anything or name in named)

    @abstractmethod
    def extract(self, text: str, finished: bool = True, options: Sequence[str] = ()) -> str | None:
        """The answer that the text gives, in the form that `equal` takes.

        Args:
            finished: whether the text ended by itself. One that was cut off has answered only what it announced.
            options: the texts of the question's options, in the order of their letters; empty where there are none.
        """

    @abstractmethod
    def equal(self, answer: str, gold: str) -> bool:
        """Whether an extracted answer is the gold one."""

    def score(
        self, text: str, gold: str, finished: bool = True, options: Sequence[str] = ()
    ) -> tuple[str | None, bool]:
        """What the text answers, and whether that is right."""
        known = {"finished": finished, "options": options}
        answer = self.extract(text, **{name: known[name] for name in self._takes})  # type: ignore[arg-type]
        return answer, answer is not None and self.equal(answer, gold)
