"""Find the files of a folder on disk or of a repo on the Hub by one call."""

from __future__ import annotations

from pathlib import Path


def find_file(folder_or_repo: str | Path, name: str, *, revision: str | None = None) -> Path | None:
    """Return the path of a file: in the folder on disk, else downloaded from the Hub and cached.

    Args:
        folder_or_repo: a folder on disk, or a repo's id on the Hub.
        name: the file's name in it.
        revision: branch, tag or commit of the repo; default: its main branch.

    Returns:
        The path; None if the folder or the repo has no such file.

    Raises:
        FileNotFoundError: if `folder_or_repo` is no folder and cannot be the id of a repo.
        huggingface_hub.errors.HfHubHTTPError: or a relative, if the Hub cannot be reached or has no such repo.
    """
    folder = Path(folder_or_repo)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    if isinstance(folder_or_repo, Path) or str(folder_or_repo).count("/") > 1:
        raise FileNotFoundError(f"there is no folder {folder_or_repo}")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(str(folder_or_repo), name, revision=revision))
    except EntryNotFoundError:
        return None
