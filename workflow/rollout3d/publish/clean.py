"""Search what is to be published for things of this machine: paths, names, secrets, ids of API requests."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from rollout3d import resources
from rollout3d.errors import InvalidInput

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET_LENGTH = 12
"""Fewest characters of a variable's value that is searched for; a shorter one may be a common word."""
_TOKENS = {
    "a token of the Hub": r"\bhf_[A-Za-z0-9]{20,}",
    "an API key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "the id of an API request": r"\b(?:req|batch|resp)_[0-9a-f]{16,}|\bchatcmpl-\w{8,}",
}
_PATH = re.compile(
    r"(?<![\w.:/~-])/(?:home|Users|root|mnt|scratch|data\d*|work|tmp|gpfs|lustre|nfs|private|var|opt)"
    r"/[\w.-]+|(?<!\w)[A-Za-z]:\\[\w.-]+"
)
"""A path of a machine. It is searched for in cards and settings files; general questions may hold one in their text."""
SUFFIXES = (".md", ".json", ".txt", ".jinja", ".py", ".yaml", ".model")
"""Names of files of text end with one of these."""


class Private:
    """Things of this machine and user that no published file may hold.

    `paths`: absolute paths, such as those of `site`, and the results folder.
    """

    def __init__(self, paths: Iterable[Path | str]):
        places = [*map(str, paths), str(Path.home()), str(resources.root()), os.getcwd()]
        given = {place.rstrip("/") for place in places if place.startswith("/")} - {""}
        patterns = [("a path of this machine", rf"(?<![\w.]){re.escape(place)}(?![\w-])") for place in sorted(given)]
        user, host = getpass.getuser(), socket.gethostname()
        patterns.append(("a user name", rf"(?:/home/|/Users/|\b(?=\w+@)){re.escape(user)}(?:/|@{re.escape(host)})"))
        if len(host) >= 6 and host != "localhost":
            patterns.append(("the name of this machine", rf"(?<![\w-]){re.escape(host)}(?![\w-])"))
        for name, value in sorted(os.environ.items()):
            if _SECRET_NAME.search(name) and len(value) >= _SECRET_LENGTH and not value.startswith("/"):
                patterns.append((f"the value of the variable {name}", re.escape(value)))
        self._patterns = [(what, re.compile(pattern)) for what, pattern in (*patterns, *_TOKENS.items())]

    def find(self, text: str, own: bool = False) -> str | None:
        """Return what of this machine a text holds, in words, without its value; None if nothing.

        `own`: true of a text that this program or training wrote, in which no path of any machine may stand.
        """
        found = next((what for what, pattern in self._patterns if pattern.search(text)), None)
        return found or ("a path of a machine" if own and _PATH.search(text) else None)

    def check_text(self, text: str, where: str, own: bool = False) -> None:
        """Raise InvalidInput that names `where` if a text holds anything private."""
        what = self.find(text, own)
        if what:
            raise InvalidInput(f"{where}: holds {what}, so nothing was written; take it out at its source")

    def check_table(self, rows: pa.Table, where: str) -> None:
        """Raise InvalidInput that names the column if a string of a table holds anything private."""
        for field in rows.schema:
            texts = (text for chunk in rows.column(field.name).chunks for text in _strings(chunk))
            self.check_text("\n".join(texts), f"{where}, column {field.name}")

    def check_folder(self, folder: Path) -> None:
        """Raise InvalidInput if a file's name, a file of text, or the header of a file of weights holds anything
        private."""
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            self.check_text(name, f"the name of the file {name}")
            if path.suffix in SUFFIXES:
                self.check_text(path.read_text(encoding="utf-8"), name, own=path.name != "tokenizer.json")
            elif path.suffix == ".safetensors":
                with open(path, "rb") as stream:
                    header = stream.read(int.from_bytes(stream.read(8), "little"))
                self.check_text(header.decode(), f"{name}, its header", own=True)


def _strings(array: pa.Array) -> Iterable[str]:
    """Yield every string of a column, those in lists and structures included."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from (text for text in array.to_pylist() if text)
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _strings(array.flatten())
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            yield from _strings(child)
