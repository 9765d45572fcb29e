"""Folders on the Hub: the files that verification needs, by repo id, at one commit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from converter.errors import HubProblem, UsageProblem

_ALWAYS = "config.json"
_OPTIONAL = ("tokenizer.json", "tokenizer_config.json")
_WEIGHTS = (
    ("model.safetensors.index.json", "model.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model.bin"),
)
_REPO_ID = re.compile(r"[\w.\-]+/[\w.\-]+")


def is_repo_id(text: str) -> bool:
    """Whether `text` can be `org/name`, and is no path here."""
    return _REPO_ID.fullmatch(text) is not None and not Path(text).exists()


def download_folder(repo_id: str, revision: str | None, into: Path) -> str:
    """Brings config, weights and tokenizer of a repo into the folder `into`, as links into huggingface_hub's cache.

    Returns:
        The commit they are of.

    Raises:
        HubProblem: if the Hub does not have them, or does not answer.
        UsageProblem: if the repo has no model.
    """
    config = _download(repo_id, _ALWAYS, revision)
    if config is None:
        raise UsageProblem(f"the repo has no {_ALWAYS}, so it is no model", subject=repo_id, advice="Check the repo id")
    commit = config.parent.name
    found = {_ALWAYS: config}
    for name in (*_OPTIONAL, *_weight_files(repo_id, commit)):
        path = _download(repo_id, name, commit)
        if path is not None:
            found[name] = path
    for name, path in found.items():
        (into / name).symlink_to(path.resolve())
    return commit


def _weight_files(repo_id: str, commit: str) -> Iterator[str]:
    """The files of the first kind of weights that the repo has, shards included."""
    for index, single in _WEIGHTS:
        listed = _download(repo_id, index, commit)
        if listed is not None:
            content = json.loads(listed.read_text(encoding="utf-8"))
            names = set(content["weight_map"].values()) if isinstance(content, dict) else set()
            if not all(isinstance(name, str) and Path(name).name == name for name in names):
                raise UsageProblem(f"{index} names files outside the repo", subject=repo_id, advice="Do not trust it")
            yield from (index, *sorted(names))
            return
        if _download(repo_id, single, commit) is not None:
            yield single
            return


def _download(repo_id: str, name: str, revision: str | None) -> Path | None:
    """A file of the repo in the local cache; None if the repo has none of that name."""
    from huggingface_hub import errors as hub
    from huggingface_hub import hf_hub_download, logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # every retry would get lines of its own; what matters ends up in one sentence

    try:
        return Path(hf_hub_download(repo_id, name, revision=revision))
    except hub.LocalEntryNotFoundError as error:
        raise _unreachable(repo_id, error) from error
    except hub.EntryNotFoundError:
        return None
    except hub.RepositoryNotFoundError as error:
        raise HubProblem(
            "the Hub has no such repo, or it is private and no token that may read it is given",
            subject=repo_id,
            advice="Check the name, or log in with `hf auth login` (or HF_TOKEN)",
        ) from error
    except hub.RevisionNotFoundError as error:
        raise HubProblem(
            f"the repo has no revision '{revision}'", subject=repo_id, advice="Check --revision"
        ) from error
    except (hub.HFValidationError, ValueError) as error:
        raise UsageProblem("is no repo id", subject=repo_id, advice="It has the form org/name") from error
    except Exception as error:  # whatever the HTTP library beneath raises: it differs between releases
        raise _unreachable(repo_id, error) from error


def _unreachable(repo_id: str, error: Exception) -> HubProblem:
    return HubProblem(
        f"the Hub could not be asked ({type(error).__name__})",
        subject=repo_id,
        advice="Check the network and HF_ENDPOINT, and try again",
    )
