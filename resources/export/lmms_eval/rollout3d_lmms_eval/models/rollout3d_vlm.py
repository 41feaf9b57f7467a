"""lmms-eval's model `rollout3d_vlm`: the exported model, shown what its own evaluation shows."""

import os
from pathlib import Path

from lmms_eval.api.model import lmms

from rollout3d.evaluation.harness import Harness, Question

FOLDER = Path(__file__).resolve().parents[2]
READ = {"max_new_tokens", "temperature", "top_p", "do_sample", "until", "num_beams"}
"""Keys of `generation_kwargs` that are known; `do_sample` follows from the temperature, and nothing but the end of turn
ends an answer."""


class Rollout3dVlm(lmms):
    """Answers questions about one video each. `backend`: hf or vllm."""

    is_simple = True

    def __init__(self, backend="hf", batch_size=1, device=None, max_batch_size=None):
        super().__init__()
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise RuntimeError("rollout3d_vlm answers in one process: start lmms-eval without accelerate or torchrun")
        self.harness = Harness(FOLDER, backend)

    def generate_until(self, requests):
        """Return the answer to each request, in order."""
        answers = [""] * len(requests)
        for kwargs, places in _grouped(requests):
            asked = [self._question(requests[place]) for place in places]
            for at, text in self.harness.answers(asked, *kwargs):
                answers[places[at]] = text
                self.cache_hook.add_partial("generate_until", requests[places[at]].args[:2], text)
        return answers

    def _question(self, request):
        text, _, doc_to_visual, doc_id, task, split = request.args
        videos = doc_to_visual(self.task_dict[task][split][doc_id]) or []
        if len(videos) != 1 or not isinstance(videos[0], str):
            raise ValueError(
                f"{task}, doc_id {doc_id}: rollout3d_vlm answers questions about one video file, not about "
                f"{[type(each).__name__ for each in videos]}"
            )
        return Question(f"{task}/{doc_id}", videos[0], text)

    def loglikelihood(self, requests):
        raise NotImplementedError("rollout3d_vlm writes answers: use tasks with output_type generate_until")

    def generate_until_multi_round(self, requests):
        raise NotImplementedError("rollout3d_vlm answers one turn: use tasks with output_type generate_until")


def _grouped(requests):
    """Return (tokens at most, temperature, top_p) with the places of its requests. Raises ValueError for others."""
    groups = {}
    for place, request in enumerate(requests):
        given = request.args[1]
        unknown = set(given) - READ
        if unknown or (given.get("num_beams") or 1) > 1:
            raise ValueError(f"rollout3d_vlm has no {', '.join(sorted(unknown)) or 'beams'}: see generation_kwargs")
        if "max_new_tokens" not in given:
            raise ValueError("rollout3d_vlm needs max_new_tokens: --gen_kwargs max_new_tokens=...")
        kwargs = int(given["max_new_tokens"]), float(given.get("temperature") or 0), float(given.get("top_p") or 1)
        groups.setdefault(kwargs, []).append(place)
    return list(groups.items())
