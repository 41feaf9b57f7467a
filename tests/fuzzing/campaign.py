"""Damage every file of every format, and say what became of it: `make fuzz [FUZZ="--mutations N"]`.

    .venv/bin/python tests/fuzzing/campaign.py [--mutations 2000] [--seed 0] [--only scannet] [--faults FILE]

Each mutation damages one file of a small release, in place, and reads the release in a process of its own. Expected is
one of: the same tables, a dropped scan or record with its reason, a refusal that names the file, a flag, or values
that nothing contradicts. Exit status 1 if any mutation ends otherwise. The same seed gives the same mutations.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2

from fuzzing import allowed, kinds, outcomes, subjects
from fuzzing.outcomes import CLASSES, FAULT, UNKNOWABLE, Outcome
from fuzzing.subjects import Subject


@dataclass(frozen=True)
class Case:
    """One mutation of one file. `kind`: the file's path with its numbers left out."""

    subject: str
    path: str
    kind: str
    mutation: str
    seed: int
    change: Callable[[Path, random.Random], None]


def cases(subject: Subject, files: list[str], absent: list[str], seed: int) -> Iterator[Case]:
    """Mutations without end: every kind of file in turn, and of each its mutations in turn."""
    of: dict[str, list[str]] = defaultdict(list)
    for path in files:
        of[_kind(path)].append(path)
    for path in absent:
        of[f"{_kind(path)} (absent)"].append(path)
    rng = random.Random(f"{seed} {subject.name}")
    left: dict[str, list[tuple[str, Callable[[Path, random.Random], None]]]] = {kind: [] for kind in of}
    n = 0
    while True:
        for kind, paths in of.items():
            if not left[kind]:
                left[kind] = _changes(subject, paths[0], kind.endswith("(absent)"))
                rng.shuffle(left[kind])
            name, change = left[kind].pop()
            yield Case(subject.name, rng.choice(paths), kind, name, n, change)
            n += 1


def _kind(path: str) -> str:
    return re.sub(r"(?<![a-z])[0-9a-f]{10}(?![0-9a-z])|\d[\d.]*(?=[_.]|$)|\d{4,}", "#", path)


def _changes(subject: Subject, path: str, absent: bool) -> list[tuple[str, Callable[[Path, random.Random], None]]]:
    changes: list[tuple[str, Callable[[Path, random.Random], None]]] = []
    if absent:
        for content in (b"", b"PK\x03\x04 nothing", b"{}", b"0 1 2\n", bytes(1000)):
            changes.append(("appeared", lambda file, rng, content=content: _write(file, content)))
        return [*changes, ("appeared as a folder", lambda file, rng: file.mkdir(parents=True))]
    for mutation in kinds.of(path):
        changes.append((mutation.__name__, lambda file, rng, m=mutation: file.write_bytes(m(file.read_bytes(), rng))))
    donors = [subject.root / each for each in subject.donors(path)]
    if donors:
        own = ("another scan's", lambda file, rng: file.write_bytes(rng.choice(donors).read_bytes()))
        changes += [own, own]
    return [*changes, ("removed", lambda file, rng: file.unlink()), ("a folder", _folder), ("a dead link", _link)]


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _folder(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.mkdir()


def _link(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.symlink_to("nowhere")


@contextmanager
def damaged(root: Path, case: Case) -> Iterator[bool]:
    """The file as the case changes it, then as it was; whether anything has changed."""
    file = root / case.path
    before = file.read_bytes() if file.is_file() else None
    made = next((each for each in (*reversed(file.parents), file) if not each.exists()), file)
    try:
        case.change(file, random.Random(f"{case.subject} {case.seed}"))
        yield not file.is_file() or file.read_bytes() != before
    finally:
        if file.is_symlink() or file.is_file():
            file.unlink()
        elif file.is_dir():
            shutil.rmtree(file)
        if before is not None:
            file.write_bytes(before)
        elif made.is_dir():
            shutil.rmtree(made)


def run(made: list[Subject], wanted: int, seed: int) -> Iterator[tuple[Case, Outcome]]:
    """As many mutations as wanted, dealt evenly to the kinds of files of all subjects."""
    dealt = []
    for subject in made:
        out = Path(tempfile.mkdtemp(prefix="fuzz-"))
        files, absent, whole = subject.found(out)
        shutil.rmtree(out)
        share = len({_kind(path) for path in files}) + len({_kind(path) for path in absent})
        dealt.append((subject, whole, cases(subject, files, absent, seed), share))
    total = sum(share for *_, share in dealt)
    for subject, whole, endless, share in dealt:
        n = max(1, round(wanted * share / total))
        while n:
            case = next(endless)
            with damaged(subject.root, case) as really:
                if not really:
                    continue
                yield case, judged(case, outcomes.attempt(subject, whole))
            n -= 1


def judged(case: Case, outcome: Outcome) -> Outcome:
    """A silent change is a fault unless there is a reason why no check can know."""
    if outcome.kind != UNKNOWABLE:
        return outcome
    reason = allowed.why(case.kind, case.mutation, outcome.changes)
    return Outcome(UNKNOWABLE, reason, outcome.changes) if reason else Outcome(FAULT, f"in silence: {outcome.text}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=2000, help="how many, over all formats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="FORMAT", help="formats whose name holds this")
    parser.add_argument("--log", type=Path, help="write every outcome to this file")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    started, faults = time.monotonic(), 0
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    files: dict[str, set[str]] = defaultdict(set)
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="rollout3d-fuzz-") as folder:
        made = subjects.every(Path(folder), args.only)
        log = open(args.log, "w") if args.log else None  # noqa: SIM115
        for case, outcome in run(made, args.mutations, args.seed):
            counts[case.subject][outcome.kind] += 1
            files[case.subject].add(case.path)
            reasons.update([outcome.text] if outcome.kind == UNKNOWABLE else [])
            if log:
                about = (outcome.kind, case.subject, case.kind, case.mutation, str(case.seed), repr(outcome.text))
                print(*about, ", ".join(outcome.changes), sep="\t", file=log, flush=True)
            if outcome.kind == FAULT:
                faults += 1
                print(f"FAULT {case.subject}: {case.path}: {case.mutation} (number {case.seed})\n{outcome.text}\n")
    print(f"{'format':28}{'files':>7}{'mutations':>11}" + "".join(f"{name:>12}" for name in CLASSES))
    for name, found in counts.items():
        print(f"{name:28}{len(files[name]):7}{found.total():11}" + "".join(f"{found[each]:12}" for each in CLASSES))
    total = sum(counts.values(), Counter())
    line = "".join(f"{total[each]:12}" for each in CLASSES)
    print(f"{'all':28}{sum(map(len, files.values())):7}{total.total():11}{line}")
    print("\nunknowable, and why:", *(f"{n:5} {reason}" for reason, n in reasons.most_common()), sep="\n")
    print(f"{time.monotonic() - started:.0f} s")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
