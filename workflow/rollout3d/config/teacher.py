"""Sections of the configuration about models behind an API: the teacher of the cold start and the judge of imports."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from rollout3d.config.base import From0, NotNegative, Positive, Text
from rollout3d.config.choices import Teacher
from rollout3d.config.sections import Section

TIMEOUT_S = 180.0
"""Seconds without a byte of the reply after which a request counts as unanswered. [assumed]"""
REQUEST_ATTEMPTS = 6
"""Maximum number of times that a request is sent to a server that is busy, out of reach or answers nonsense, before it
counts as failed; pauses double from half a second, or are what the server asks for. [assumed]"""
MAX_SHARE_FAILED = 0.05
"""Share of questions whose requests failed above which a stage stops, from 0 to 1: a server that is down must not leave
questions out. [assumed]"""
JUDGE_FRAMES = 16
"""Number of frames that the judge is shown with a question. [assumed]"""
COT_FRAMES = 32
"""Number of frames that the teacher is shown with a question. [OCR, data construction]"""
COT_ATTEMPTS = 3
"""Maximum number of replies to a question that verification rejects before the question is given up. [assumed]"""
COT_MAX_TOKENS = 1024
"""Maximum length of the teacher's reply, in tokens. [assumed]"""


class Api(Section):
    """Requests to models behind an API, of the teacher and the judge alike."""

    timeout_s: ClassVar[float] = TIMEOUT_S
    request_attempts: ClassVar[int] = REQUEST_ATTEMPTS
    max_share_failed: ClassVar[float] = MAX_SHARE_FAILED
    model: Text = "gpt-4o"
    """Model that writes the reasoning and judges questions. [OCR: GPT-4o]"""
    prices: dict[str, tuple[From0, From0]] = {}
    """Dollars per million tokens of prompt and of completion, by model, such as {my-model: [0, 0]} for a server of your
    own; they replace those of resources/prices.csv. [assumed]"""
    batch: bool = False
    """Ask through the Batch API: half the price, replies within 24 hours. [assumed]"""
    concurrency: Positive = 8
    """Number of requests in flight at a time. [assumed]"""


class Paid(Section):
    """Spending limit of a paid model."""

    max_usd: From0 = 0.0
    """Spending limit in dollars for all replies in a cache; the API is refused while it is 0. [assumed]"""


class Judge(Paid):
    """Verdicts of a model on imported questions about scans, and on a sample of generated ones; the stage runs where
    `max_usd` is above 0."""

    frames: ClassVar[int] = JUDGE_FRAMES
    generated_sample: NotNegative = 0
    """Number of generated training questions that are judged, as many of each type as of the others. [assumed]"""

    @model_validator(mode="after")
    def _paid(self) -> Judge:
        if self.generated_sample and not self.max_usd:
            raise ValueError(f"generated_sample: {self.generated_sample} questions cannot be judged while max_usd is 0")
        return self


class Cot(Paid):
    """Reasoning for the hard questions."""

    frames: ClassVar[int] = COT_FRAMES
    attempts: ClassVar[int] = COT_ATTEMPTS
    max_tokens: ClassVar[int] = COT_MAX_TOKENS
    teacher: Teacher = "openai"
    """Teacher that writes the reasoning, a file of cot/teachers. [OCR: GPT-4o]"""
    per_transition: Positive = 1000
    """Number of hard questions that are kept per transition. [OCR, data construction]"""
    fallback: NotNegative = 0
    """Number of questions up to which a transition is filled with others that stay wrong after GRPO. [assumed]"""
    sentences: Positive | None = None
    """Maximum number of sentences of the geometric teacher, for small models (presets); subject, deciding step and
    conclusion stay; null = all. [assumed]"""
    second_opinion: Text | None = None
    """Model that judges accepted reasoning with suspicious words; null = none; `--estimate` leaves it out. [assumed]"""
