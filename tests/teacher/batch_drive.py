"""Have requests answered in batches, in a process of its own: `python batch_drive.py URL FOLDER N MAX_USD [COLLECTED]`.

Also used in-process. The ledger is a folder of one file per reply; a request costs 0.5 dollars at most and 0.1 in fact.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import openai

from rollout3d.teacher import batch
from rollout3d.teacher.batch_records import Records, Request
from rollout3d.teacher.client import TeacherError, TeacherRefused

WORST_USD, REAL_USD = 0.5, 0.1


def hurry(patch: Any = setattr) -> None:
    """Make pauses short."""
    patch(batch, "POLL_S", 0.01)
    patch(batch, "LOOKS_S", (0.01, 0.02, 0.03))
    patch(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)


class Ledger:
    """A folder of replies and a limit."""

    def __init__(self, folder: Path, max_usd: float):
        self.folder, self.max_usd = folder, max_usd
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, digest: str) -> bool:
        return (self.folder / f"{digest}.json").exists()

    def keep(self, digest: str, completion: dict[str, Any]) -> None:
        if not completion.get("choices"):
            raise TeacherError("no choices")
        (self.folder / f"{digest}.json").write_text(json.dumps(completion))

    def room_usd(self) -> float:
        return self.max_usd - REAL_USD * len(list(self.folder.glob("*.json")))

    def refuse(self, worst_usd: float, promised_usd: float) -> TeacherRefused:
        return TeacherRefused("the limit")

    def texts(self) -> dict[str, str]:
        found = {path.stem: json.loads(path.read_text()) for path in self.folder.glob("*.json")}
        return {digest: value["choices"][0]["message"]["content"] for digest, value in sorted(found.items())}


def requests(n: int) -> list[Request]:
    def body(i: int) -> dict[str, Any]:
        return {"model": "m", "messages": [{"role": "user", "content": f"question {i}"}]}

    return [Request(f"q{i:03}", WORST_USD, lambda i=i: body(i)) for i in range(n)]


def fetch(url: str, folder: Path, n: int, max_usd: float = 1000.0) -> dict[str, str]:
    api = openai.OpenAI(api_key="sk-test", base_url=url, max_retries=2, timeout=5)
    ledger = Ledger(folder / "replies", max_usd)
    records = Records(folder / "batches")
    return batch.Batches(api, records, ledger, lambda text: text.replace("sk-test", "[key]")).fetch(requests(n))


if __name__ == "__main__":
    hurry()
    print(json.dumps(fetch(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
