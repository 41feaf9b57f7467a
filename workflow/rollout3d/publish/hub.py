"""Upload a published folder to the Hugging Face Hub: the only part of publishing that uses the network."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

from rollout3d.errors import InvalidInput, UserError
from rollout3d.publish.folder import MANIFEST, changes

TOKEN = "HF_TOKEN"
"""Environment variable of the token; no other place is read."""


class PushError(UserError):
    """The Hub refused an upload, or could not be reached; the folder on this machine stays as it is."""


def check(repo_id: str) -> None:
    """Raise InvalidInput unless `repo_id` can be a repository, a token is given, and the Hub's client is installed."""
    if repo_id.count("/") != 1 or not all(repo_id.split("/")):
        raise InvalidInput(f"--push {repo_id}: name a repository as OWNER/NAME")
    if not os.environ.get(TOKEN):
        raise InvalidInput(f"--push {repo_id}: the variable {TOKEN} is not set; put a token with write access there")
    try:
        from huggingface_hub.utils import HFValidationError, validate_repo_id
    except ImportError:
        raise InvalidInput(
            f"--push {repo_id}: huggingface_hub is not installed; pip install 'rollout3d[publish]'"
        ) from None
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InvalidInput(f"--push {repo_id}: {error}") from None


def push(folder: Path, repo_id: str, kind: Literal["dataset", "model"], public: bool = False) -> str:
    """Upload a published folder to a repository, which is made if it does not exist; return its address.

    A new repository is private unless `public`. Without `public`, an existing public one is refused, so that nothing is
    public by mistake. Raises PushError if the Hub refuses or cannot be reached, and InvalidInput for a folder that was
    changed after it was written.
    """
    check(repo_id)
    if changed := changes(folder):
        raise InvalidInput(f"{folder}: was changed after it was written ({', '.join(changed[:3])}); publish it again")

    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    api = HfApi(token=os.environ[TOKEN])
    try:
        url = api.create_repo(repo_id, repo_type=kind, private=not public, exist_ok=True)
        if not public and not api.repo_info(repo_id, repo_type=kind).private:
            raise InvalidInput(f"--push {repo_id}: the repository is public; give --public too, or name another one")
        api.upload_folder(
            repo_id=repo_id,
            repo_type=kind,
            folder_path=folder,
            ignore_patterns=[MANIFEST, ".cache/*"],
            commit_message="Publish with rollout3d",
        )
    except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        why = " ".join(str(error).split())
        raise PushError(f"--push {repo_id}: {why}. {folder} is complete; run the same command to try again") from None
    return str(url)
