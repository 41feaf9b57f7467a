"""The teacher of the paper: GPT-4o sees the view from above first, then 32 frames of the video, and reasons.

Source: OCR, "Cold Start Data Construction". The paper shows no prompt and does not say whether the teacher knew the
answer. Ours is given it (assumed: these questions were chosen for being hard), and verification rejects texts that
reveal it. Any OpenAI-compatible server will do (`site.openai_base_url`).
"""

from __future__ import annotations

from rollout3d.config.frames import teacher_set
from rollout3d.cot.opinion import open_opinion
from rollout3d.cot.teachers import Opened, Work
from rollout3d.cot.teachers._openai_batches import fetch
from rollout3d.cot.teachers._openai_client import OpenAITeacher, options
from rollout3d.cot.teachers._openai_costs import exact, expected
from rollout3d.resources import shipped
from rollout3d.teacher.asking import Asking
from rollout3d.teacher.batched import BatchedChat, refuse_open
from rollout3d.teacher.client import ChatClient, open_client

PAID = True
TABLES = ("frames", "maps")
PROMPTS = {"cot_teacher.txt": None, "leak_check.txt": "cot.second_opinion"}
KEYS = (
    "cot.model",
    "cot.frames",
    "cot.max_tokens",
    "cot.temperature",
    "cot.max_usd",
    "cot.second_opinion",
    "api.*",
    "video.eval_frames",
)

PROMPT = shipped("resources/prompts/cot_teacher.txt")
LEAK_CHECK = shipped("resources/prompts/leak_check.txt")


def open_teacher(work: Work) -> Opened:
    """Open the chat client, and the second opinion if one is wanted.

    With `api.batch`, batches have answered every attempt when this returns. Raises TeacherRefused where nothing may be
    asked, and where earlier batches are still open though none are wanted; PriceError for a model without a price.
    """
    config, cot = work.config, work.config.cot
    if work.cache is None:
        raise ValueError("paid replies need a cache")
    chat = open_client(cot, config.api, options(cot), "cot", work.cache, config.site.openai_base_url)
    how = Asking.of(chat, config.api)
    second = open_opinion(cot, config.api, chat, config.site.openai_base_url, LEAK_CHECK.read_text("utf-8"))
    if not config.api.batch:
        refuse_open(chat.cache, work.name, "api.batch")
        return Opened(_teacher(work, chat), how, second)
    batches = BatchedChat(chat, work.name)
    teacher = _teacher(work, batches)
    fetch(work.questions, teacher, batches, cot.attempts, second)
    return Opened(teacher, how, second)


def estimate(work: Work, n_questions: int | None) -> str:
    """Estimate the cost of the hard questions, or of `n_questions` about the mean scan of the given tables.

    Raises ValueError for missing pictures, PriceError for a model without a price, TeacherRefused for a damaged cache.
    """
    prompt = PROMPT.read_text("utf-8")
    return (exact(work, prompt) if n_questions is None else expected(work, n_questions, prompt)).text()


def _teacher(work: Work, chat: ChatClient | BatchedChat) -> OpenAITeacher:
    prompt = PROMPT.read_text("utf-8")
    return OpenAITeacher(chat, work.frames, work.maps, work.config.cot.frames, teacher_set(work.config.video), prompt)
