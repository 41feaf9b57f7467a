"""Ask a cheap model about reasoning that the rules for leaks cannot decide: a short question, without pictures.

Ours, no paper's; off unless asked for. Only texts that are right and break no rule come here, and of these only those
with suspicious words (`rollout3d.cot.leaks.undecided`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Template
from typing import Any

from rollout3d.cot.leaks import undecided

_REPLY = re.compile(r"\W*(YES|NO)\b\W*(.*)", re.IGNORECASE | re.DOTALL)


def question_about(think: str, row: Mapping[str, Any], prompt: str) -> str | None:
    """Return what to ask about the reasoning `think` for question `row`; None if there is nothing to ask.

    `prompt` is a template with $question, $think and $words.
    """
    words = undecided(think, row)
    if words is None:
        return None
    question = "\n".join([row["question"], *(row["options"] or [])])
    return Template(prompt).substitute(question=question, think=think, words=words)


def read_reply(text: str) -> str | None:
    """Return the reason of a verdict against the reasoning; None if the reply finds it innocent.

    A reply that is neither YES nor NO clears nothing: the reasoning is not kept.
    """
    found = _REPLY.match(text)
    if found is None:
        return f"second opinion unreadable: '{text.strip()[:60]}'"
    if found[1].upper() == "NO":
        return None
    return f"second opinion: {' '.join(found[2].split())[:200] or 'no reason given'}"
