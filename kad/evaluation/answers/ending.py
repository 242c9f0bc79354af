"""Where a reply ends: a model that has answered may go on with another question, or with what is left of a chat template.

A text is cut only *after* it has answered: one that restates its question, or calls its steps problems, goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True)
class Candidate:
    """A place where a text says what it answers.

    Attributes:
        start, end: where it stands, its marker included.
        value: the answer, in the form of its kind.
        final: behind ``####``, which a text writes once it is done.
        weak: not behind a marker or in a box; it counts where nothing does.
    """

    start: int
    end: int
    value: str
    final: bool = False
    weak: bool = False


# Another speaker's turn: special tokens, the roles that remain when those are skipped, and the forms of plain templates. Some
# tokenizers leave no line break before the role ("18user\n\n...").
TURN = re.compile(
    r"""
    <[|｜][^<>\n]{1,40}[|｜]> | </?(?:user|human|assistant|system|model|im_start|im_end)> | \[/?USER\]
    | \[/?INST\] | </?s> | <</?SYS>> | <(?:start|end)_of_turn> | <(?:bos|eos|pad)>
    | ^[ \t#*]*(?:user|human)[*]*[ \t]*(?::|$)
    | (?<=[\d.!?)\]}$*])(?:user|human)[ \t]*\n
    | ^\#+[ ]*instructions?\b
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
ASKER = r"(?:question|problem|exercise|example|task|prompt|instruction|input|query|puzzle|quiz|q)s?"
# A heading of another question, or of another reply. Both are also headings of a reply's own parts.
HEADING = re.compile(
    rf"""
    ^[ \t>*_\#\[<(-]*(?:\d+[.)][ \t]*)?(?:(?:next|new|another|follow[- ]?up|second|third)[ ])?
        (?P<label>{ASKER})[ \t]*(?:\#|no\.?|number)?[ \t]*(?P<number>\d*)[ \t]*(?:[\]>*_]*[ \t]*[:.)–—-]|[\]>*_]*[ \t]*$)
    | (?<=\s)(?:Question|Problem|Q)[ ]?\d*:(?=\s)
    | ^[ \t#*]*(?:assistant|system|model|response)[*]*[ \t]*(?::|$)
    | (?<=[\d.!?)\]}}$*])(?:assistant|system|model)[ \t]*\n
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
# A sentence that asks, in a text without headings.
ASKS = re.compile(
    r"\?|\bhow\s+(?:many|much)\b|(?:^|[.,;!:]\s+|\b(?:and|then|please)\s+)(?:find|compute|calculate|determine|evaluate|solve|simplify|express|factor|write|give|state|"
    r"how\s+\w+|what|which|who|where|when)\b",
    re.IGNORECASE | re.MULTILINE,
)
# Options of another question.
RECITAL = re.compile(r"^[ \t(*]*A[*]*[.):].*\n+[ \t(*]*B[*]*[.):]", re.MULTILINE)
# How a text goes on that looks at its answer again: by its first words, or by a phrase of its first two sentences.
CORRECTS = re.compile(
    r"^(?:oh,?\s+|so,?\s+|and\s+|but\s+)?(?:wait|actually|however|but|no(?=\s*[,.:!—–-])|hm+|oops|sorry|hold on|correction|"
    r"(?:to |let's |let me |let us |we (?:can )?)?(?:\w+-)?(?:verif|(?:re|double)?-?\s?check|re-?(?:calc|consid|eval|think|exam|do\b))\w*|"
    r"let me|let's see|instead|(?:is|was) (?:that|this|it)(?: right| correct| true|\?)|(?:that|this|it)(?: is|'s| was| should| can)\s?n[o']t)\b"
    r"|\bsecond thought|\bi\b[^.?!]{0,25}\b(?:mistake|error|wrong|incorrect|misread|forgot)"
    r"|\b(?:that|this|there)(?:'s| is| was| seems)\b[^.?!]{0,15}\b(?:mistake|error|wrong|incorrect|not right)",
    re.IGNORECASE,
)
CLOSING = " .\n*_$\\)]}"  # what may close an answer
A_SENTENCE = 8  # words: fewer are a unit, a heading or a closing word
MOST = 50  # signs that are looked at: a text with more of them repeats itself
NUMERAL = re.compile(r"\d+(?:\.\d+)?")


def own_turn(text: str, answers: Callable[[str], bool]) -> str:
    """The text up to another speaker's turn, unless it has answered nothing until there.

    >>> own_turn("It is 4.\\nuser\\nAnd 5?", lambda before: "4" in before)
    'It is 4.\\n'
    """
    last = 0
    for sign in islice(TURN.finditer(text), MOST):
        if text[last : sign.start()].strip() and answers(text[: sign.start()]):
            return text[: sign.start()]
        last = sign.end()
    return text


def before_another(text: str) -> str:
    """The text up to a heading with a question about other numbers than all that it has spoken of.

    This is for texts that have announced no answer; a question restated shares its numbers with the steps.

    >>> before_another("In 2 steps: 4\\nQuestion: what is 9 + 9?"), before_another("9 eggs.\\nQuestion: how much are 9 eggs?")
    ('In 2 steps: 4\\n', '9 eggs.\\nQuestion: how much are 9 eggs?')
    """
    for sign in islice(HEADING.finditer(text), MOST):
        before = text[: sign.start()]
        spoken, asked = _numerals(before), _numerals(_paragraph(text, sign.end()))
        if spoken and asked and not spoken & asked and not _counts_on(before, sign):
            return before
    return text


def standing(text: str, claims: Sequence[Candidate]) -> list[Candidate]:
    """The claims before the text turns to another question, without the weak ones if others are there. The last one wins.

    >>> claims = [Candidate(0, 6, "4"), Candidate(22, 28, "5")]
    >>> [claim.value for claim in standing("#### 4\\n\\nQuestion: 2+3?\\n#### 5", claims)]
    ['4']
    """
    kept = list[Candidate]()
    for claim in claims:
        if kept and _leaves(text, kept[-1], claim):
            break
        kept.append(claim)
    return [claim for claim in kept if not claim.weak] or kept


def _leaves(text: str, claim: Candidate, following: Candidate) -> bool:
    """Whether what stands between two claims asks for something else."""
    gap = text[claim.end : following.start]
    signs = HEADING.finditer(text, claim.end, following.start)
    if claim.weak:
        return claim.start == 0 and (TURN.search(gap) or HEADING.search(gap)) is not None
    if TURN.search(gap) or any(not _own_part(text, claim, sign) for sign in signs):
        return True
    if CORRECTS.search(" ".join(re.split(r"(?<=[.!?])\s+|\n+", gap.strip(CLOSING))[:2])):
        return False
    if claim.final and re.search(r"\n\s*\n\s*\S", gap) and len(gap.split()) > A_SENTENCE:
        return True
    if RECITAL.search(gap):
        return True
    if "\n\n" in gap and _numerals(gap) and not _numerals(gap) & _numerals(text[: claim.end]):
        return True
    asks = ASKS.search(gap)
    return asks is not None and (claim.final or "\n" in gap[: asks.end()])


def _own_part(text: str, claim: Candidate, sign: re.Match[str]) -> bool:
    """Whether a heading is of another part of the same reply, which goes on with its numbers."""
    if claim.final or not _counts_on(text[: claim.start], sign):
        return False
    part = _paragraph(text, sign.end())
    return "?" not in part or bool(_numerals(part) & _numerals(text[: claim.end]))


def _counts_on(before: str, sign: re.Match[str]) -> bool:
    """Whether a heading is the first of a list or counts on from the last one: "Problem 1", then "Problem 2"."""
    label, number = sign.group("label"), sign.group("number")
    if not label or not number:
        return False
    counted = re.findall(rf"^[\W_]*{label}s?\s*(\d+)\b", before, re.IGNORECASE | re.MULTILINE)
    return int(number) == (int(counted[-1]) + 1 if counted else 1)


def _paragraph(text: str, start: int) -> str:
    return text[start:].strip().split("\n\n")[0]


def _numerals(text: str) -> set[str]:
    return set(NUMERAL.findall(text))
