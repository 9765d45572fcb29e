"""Files of a folder on disk or of a repo on the Hub, found by one call; and a folder's way to the Hub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypedDict

from prenorm_model.options import refuse_unknown

if TYPE_CHECKING:
    from typing import Unpack  # from Python 3.11 on


class HubOptions(TypedDict, total=False):
    """How files of a repo are asked for; a folder on disk needs none of it but `subfolder`.

    Attributes:
        subfolder: the folder in the repo, or in the folder, that the files lie in.
        revision: branch, tag or commit of the repo.
        token: the user's token; True: the one that is logged in; False: none.
        cache_dir: where downloaded files are kept; None: huggingface_hub's own cache.
        local_files_only: take files from the cache, and never ask the Hub.
        force_download: download files that are in the cache too.
    """

    subfolder: str
    revision: str | None
    token: str | bool | None
    cache_dir: str | Path | None
    local_files_only: bool
    force_download: bool


class CommitOptions(TypedDict, total=False):
    """How a folder goes to a repo on the Hub.

    Attributes:
        commit_message: the first line of the commit.
        commit_description: what else the commit says.
        private: whether a repo that is made now is private; None: as the user's settings say.
        token: the user's token; None and True: the one that is logged in.
        revision: the branch; made if it does not exist.
        create_pr: open a pull request, instead of committing to the branch.
    """

    commit_message: str | None
    commit_description: str | None
    private: bool | None
    token: str | bool | None
    revision: str | None
    create_pr: bool


class UploadOptions(CommitOptions, total=False):
    """`CommitOptions`, and where it goes.

    Attributes:
        repo_id: the repo; None: one of the folder's name, of the user.
    """

    repo_id: str | None


class Location:
    """A folder on disk, or a repo on the Hub.

    All files of a repo come from the commit that the first one came from, whatever is pushed in between.

    Args:
        folder_or_repo: a folder on disk, or a repo's id on the Hub.
        **options: how a repo's files are asked for; see `HubOptions`.
    """

    def __init__(self, folder_or_repo: str | Path, **options: Unpack[HubOptions]) -> None:
        self._name = folder_or_repo
        self._subfolder = options.pop("subfolder", "") or ""
        self._options = options
        self._not_cached: Exception | None = None

    def __str__(self) -> str:
        return "/".join([str(self._name), *([self._subfolder] if self._subfolder else [])])

    def find(self, name: str) -> Path | None:
        """Return the path of a file: in the folder on disk, else downloaded from the Hub and cached.

        Args:
            name: the file's name.

        Returns:
            The path; None if the folder or the repo has no such file.

        Raises:
            FileNotFoundError: if this is no folder and cannot be the id of a repo.
            huggingface_hub.errors.HfHubHTTPError: or a relative, if the Hub has no such repo, or does not give it.
        """
        folder = Path(self._name)
        if folder.is_dir():
            path = folder / self._subfolder / name
            return path if path.is_file() else None
        if isinstance(self._name, Path) or str(self._name).count("/") > 1:
            raise FileNotFoundError(f"there is no folder {self._name}")
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        inner = str(PurePosixPath(self._subfolder, name))
        try:
            path = Path(hf_hub_download(str(self._name), inner, **self._options))
        except LocalEntryNotFoundError as error:  # of the file, nobody knows
            self._not_cached = error
            return None
        except EntryNotFoundError:
            return None
        self._options["revision"] = path.parts[-1 - len(PurePosixPath(inner).parts)]
        return path

    def missing(self, *names: str) -> FileNotFoundError:
        """Return the error that says that none of these files was found, and why.

        Args:
            *names: the files that were looked for.

        Returns:
            The error, to be raised.
        """
        if self._not_cached is None:
            return FileNotFoundError(f"{self} has no {' and no '.join(names)}")
        error = FileNotFoundError(
            f"the cache has no {' and no '.join(names)} of {self}, and the Hub was not reached, or not asked "
            "(local_files_only, HF_HUB_OFFLINE)"
        )
        error.__cause__ = self._not_cached
        return error


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
        huggingface_hub.errors.HfHubHTTPError: or a relative, if the Hub has no such repo, or does not give it.
    """
    return Location(folder_or_repo, revision=revision).find(name)


def check_push(call: str, push_to_hub: bool, options: Mapping[str, object]) -> None:
    """Check the options of a push by name, before anything is written.

    Args:
        call: what was called.
        push_to_hub: whether there is a push at all.
        options: the options that came.

    Raises:
        TypeError: naming all unknown ones.
        ValueError: naming those that need a push.
    """
    refuse_unknown(call, options, UploadOptions.__annotations__)
    needless = sorted(name for name, value in options.items() if value not in (None, False) and name != "token")
    if needless and not push_to_hub:
        raise ValueError(f"{call} takes {', '.join(needless)} with push_to_hub=True only")


def upload(folder: Path, names: Iterable[str], stale: Iterable[str], **options: Unpack[UploadOptions]) -> str:
    """Commit files of a folder to a repo on the Hub, which is made if it does not exist.

    Args:
        folder: the folder.
        names: the files.
        stale: patterns of the repo's files that go if they are not among those; a loader could take them for these.
        **options: see `UploadOptions`.

    Returns:
        The commit's address.
    """
    from huggingface_hub import HfApi

    hub = HfApi(token=options.get("token"))
    repo_id = hub.create_repo(
        options.get("repo_id") or folder.resolve().name, private=options.get("private"), exist_ok=True
    ).repo_id
    revision, create_pr = options.get("revision"), options.get("create_pr", False)
    if revision is not None and not create_pr and not revision.startswith("refs/"):
        hub.create_branch(repo_id, branch=revision, exist_ok=True)
    return hub.upload_folder(
        repo_id=repo_id, folder_path=folder, allow_patterns=list(names), delete_patterns=list(stale),
        commit_message=options.get("commit_message") or "Upload a model", revision=revision, create_pr=create_pr,
        commit_description=options.get("commit_description"),
    )  # fmt: skip
