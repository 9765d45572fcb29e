"""What verification needs of a model folder on the Hub, of one commit, in huggingface_hub's cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.files import (
    CONFIG_FILE,
    INDEX_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_SOURCES,
    TOKENIZER_SUPPLEMENTS,
    WEIGHTS_FILE,
)
from prenorm.hub.retries import RetryPolicy
from prenorm.hub.snapshot import POLICY, Snapshot
from prenorm.progress import Progress, Silent

_TOKENIZER_FILES = (*TOKENIZER_SOURCES, TOKENIZER_CONFIG_FILE, *TOKENIZER_SUPPLEMENTS)
# Single file and index of each kind of weights. The first that a repo has is downloaded: the one that loaders take.
_WEIGHTS = ((WEIGHTS_FILE, INDEX_FILE), ("pytorch_model.bin", "pytorch_model.bin.index.json"))


def download_folder(
    repo_id: str,
    revision: str | None,
    into: Path,
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> str:
    """Download config, weights and tokenizer of a repo into a folder, as links into huggingface_hub's cache.

    Args:
        repo_id: `org/name`.
        revision: branch, tag or commit; None for the main branch.
        into: an empty folder.
        policy: how failed requests are repeated.
        progress: receives a warning for each request that is tried again.

    Returns:
        The commit that the files are of.

    Raises:
        HubProblem: if the Hub does not have them, or does not answer.
        UsageProblem: if the repo has no model.
        UnreadableCheckpoint: if a file does not arrive as the Hub has it.
    """
    snapshot = Snapshot.of(repo_id, revision, policy or POLICY, progress or Silent())
    if CONFIG_FILE not in snapshot.repo.files:
        raise UsageProblem(
            f"the repo has no {CONFIG_FILE}, so it is no model", subject=repo_id, advice="Check the repo id"
        )
    wanted = [CONFIG_FILE, *_TOKENIZER_FILES, *_weight_files(snapshot)]
    for name, path in snapshot.download_all([name for name in wanted if name in snapshot.repo.files]).items():
        (into / name).symlink_to(path.resolve())
    return snapshot.repo.commit


def _weight_files(snapshot: Snapshot) -> Iterator[str]:
    """Yield the files of the first kind of weights that the repo has, shards included."""
    for single, index in _WEIGHTS:
        if single in snapshot.repo.files:
            yield single
            return
        if index in snapshot.repo.files:
            content = json.loads(snapshot.download(index).read_text(encoding="utf-8"))
            names = set(content["weight_map"].values()) if isinstance(content, dict) else set()
            if not all(isinstance(name, str) and Path(name).name == name for name in names):
                raise UsageProblem(
                    f"{index} names files outside the repo", subject=snapshot.requests.repo_id, advice="Do not trust it"
                )
            yield from (index, *sorted(names))
            return
