"""Files of one commit whose SHA-256 is known beforehand, in huggingface_hub's cache."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from prenorm.errors import HubProblem
from prenorm.files import pieces_of, sha256_of
from prenorm.hub.client import check_token, prepare_client
from prenorm.hub.retries import Requests, RetryPolicy
from prenorm.progress import Progress, Silent


def cached_files(repo_id: str, commit: str, files: Mapping[str, str]) -> Path | None:
    """Look files up in huggingface_hub's cache, without network.

    Args:
        repo_id: `org/name`.
        commit: of the repo.
        files: their SHA-256, by name; there is at least one.

    Returns:
        The folder that holds them; None if one is lacking, or is not what it must be.
    """
    from huggingface_hub import try_to_load_from_cache

    paths = {name: try_to_load_from_cache(repo_id, name, revision=commit) for name in files}
    for name, path in paths.items():
        if not isinstance(path, str) or sha256_of(pieces_of(Path(path))) != files[name]:
            return None
    return Path(str(next(iter(paths.values())))).parent


def download_files(
    repo_id: str, commit: str, files: Mapping[str, str], policy: RetryPolicy, progress: Progress | None = None
) -> Path:
    """Download files into huggingface_hub's cache; what is there already needs no network.

    Args:
        repo_id: `org/name`.
        commit: of the repo.
        files: their SHA-256, by name; there is at least one.
        policy: how failed requests are repeated.
        progress: receives a warning for each request that is tried again.

    Returns:
        The folder that holds them.

    Raises:
        HubProblem: if the Hub does not hand one out, or hands out something else.
    """
    from huggingface_hub import hf_hub_download

    folder = cached_files(repo_id, commit, files)
    if folder is not None:
        return folder
    check_token(repo_id, needed=False)
    prepare_client(policy.timeout, repeats=False)  # these files are small, and nobody waits in silence
    requests = Requests(repo_id, policy, progress or Silent())
    for name, announced in files.items():
        request = partial(hf_hub_download, repo_id, name, revision=commit, etag_timeout=policy.timeout)
        path = Path(requests(f"downloading {name}", request))
        digest = sha256_of(pieces_of(path))
        if digest != announced:
            path.resolve().unlink()  # in the cache it would be taken for the right one by everybody else
            path.unlink(missing_ok=True)
            raise HubProblem(
                f"'{name}' at commit {commit[:12]} does not arrive as it was published: its SHA-256 is {digest}, and must be "
                f"{announced}",
                subject=repo_id,
                advice="Check HF_ENDPOINT and any proxy between, and run the command again",
            )
    return path.parent
