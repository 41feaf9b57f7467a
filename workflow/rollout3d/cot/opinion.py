"""Second opinion: ask a cheap model about reasoning that the rules for leaks cannot decide, without pictures.

Ours, no paper's; off unless asked for. Only texts that are right and break no rule come here, and of these only those
with suspicious words (`rollout3d.cot.leaks.undecided`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from string import Template

from rollout3d.config import Api, Cot
from rollout3d.cot.leaks import undecided
from rollout3d.cot.verify import Verdict, verify
from rollout3d.tables.rows import QuestionRow
from rollout3d.teacher.client import ChatClient, budget
from rollout3d.teacher.errors import TeacherError
from rollout3d.teacher.prices import PriceError, price
from rollout3d.teacher.replies import OPINIONS

MAX_TOKENS = 128
"""Of a reply, which should be one line."""

_REPLY = re.compile(r"\W*(YES|NO)\b\W*(.*)", re.IGNORECASE | re.DOTALL)


def question_about(think: str, row: QuestionRow, prompt: str) -> str | None:
    """Return the prompt about the reasoning `think` for question `row`; None if the rules decide.

    `prompt` is a template with $question, $think and $words.
    """
    words = undecided(think, row)
    if words is None:
        return None
    question = "\n".join([row["question"], *(row["options"] or [])])
    return Template(prompt).substitute(question=question, think=think, words=words)


def read_reply(text: str) -> str | None:
    """Return the reason of a verdict against the reasoning; None if the reply finds no leak.

    After a reply that is neither YES nor NO the reasoning is not kept.
    """
    found = _REPLY.match(text)
    if found is None:
        return f"second opinion unreadable: '{text.strip()[:60]}'"
    if found[1].upper() == "NO":
        return None
    return f"second opinion: {' '.join(found[2].split())[:200] or 'no reason given'}"


@dataclass(frozen=True)
class Opinion:
    """A verdict on a reasoning, and its cost.

    `reason` is None where nothing speaks against the reasoning; `error`: why the request failed for good.
    """

    reason: str | None = None
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0


class SecondOpinion:
    """Sends questions about reasoning to a model, each once. Safe to share between threads."""

    def __init__(self, chat: ChatClient, prompt: str):
        self._chat, self._prompt = chat, prompt
        self._failed: dict[str, str] = {}

    def of(self, think: str, row: QuestionRow) -> Opinion:
        """Return the opinion on right reasoning that breaks no rule. Raises TeacherRefused at the spending limit."""
        question = question_about(think, row, self._prompt)
        if question is None:
            return Opinion()
        digest = self._chat.digest([question])
        if digest in self._failed:  # whoever looks twice in a run must see the same
            return Opinion(error=self._failed[digest])
        try:
            reply = self._chat.chat([question])
        except TeacherError as error:
            self._failed[digest] = f"second opinion: {error}"
            return Opinion(error=self._failed[digest])
        reason = f"second opinion unreadable: {reply.problem}" if reply.problem else read_reply(reply.text)
        return Opinion(reason, None, reply.tokens_in, reply.tokens_out, reply.usd)


def verified(text: str, row: QuestionRow, second: SecondOpinion | None) -> tuple[Verdict, Opinion]:
    """Verify `text` by the rules and, where they accept it but cannot decide, by a second opinion."""
    verdict = verify(text, row)
    if second is None or not verdict.accepted or verdict.think is None:
        return verdict, Opinion()
    opinion = second.of(verdict.think, row)
    return replace(verdict, reason=opinion.reason or opinion.error), opinion


def open_opinion(cot: Cot, api: Api, teacher: ChatClient, base_url: str | None, prompt: str) -> SecondOpinion | None:
    """Open the second opinion that `cot` names, None if it names none. It is paid from the account of `teacher`.

    Raises PriceError for a model that the table of prices lacks.
    """
    model = cot.second_opinion
    if model is None:
        return None
    try:
        known = price(model, api.prices)
    except PriceError:
        raise PriceError(
            f"no price is known for cot.second_opinion = {model}: name one of resources/prices.csv, or set api.prices"
        ) from None
    chat = ChatClient(
        model,
        budget(known, cot.max_usd),
        teacher.cache / OPINIONS,
        max_tokens=MAX_TOKENS,
        temperature=0.0,
        base_url=base_url,
        attempts=api.request_attempts,
        timeout_s=api.timeout_s,
        concurrency=api.concurrency,
        account=teacher.account,
        model_key="cot.second_opinion",
    )
    return SecondOpinion(chat, prompt)
