"""A configuration on its way from and to config.json, on disk or on the Hub."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from prenorm_model.config_attributes import CheckedAttributes
from prenorm_model.hub import CommitOptions, Location, UploadOptions, check_push, upload
from prenorm_model.options import (
    IGNORED_LOADING,
    UNSUPPORTED_LOADING,
    refuse_unknown,
    refuse_unsupported,
)

if TYPE_CHECKING:
    from typing import Unpack  # from Python 3.11 on

CONFIG_FILE = "config.json"

ConfigT = TypeVar("ConfigT", bound="ConfigFile")


class ConfigFile(CheckedAttributes):
    """A configuration that is read from config.json and written to it. Subclasses are dataclasses.

    Attributes:
        optional: the fields that config.json states only where they are not the default.
    """

    optional: ClassVar[frozenset[str]] = frozenset()

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> ConfigFile:
        """Return the configuration of the part that reads text: this one.

        Args:
            decoder: whether the decoder's is meant.
            encoder: whether the encoder's is meant.

        Returns:
            This configuration.
        """
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return everything that this configuration says, the defaults too.

        Returns:
            The values by name, sorted.
        """
        stated = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        return dict(sorted(copy.deepcopy({**self.extra, **stated}).items()))

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the content of config.json: the fields, the optional ones where they are not the default.

        Returns:
            The values by name, sorted.
        """
        default = {item.name: item.default for item in fields(self) if item.name in self.optional}
        unstated = {name for name, value in default.items() if getattr(self, name) == value}
        return {name: value for name, value in self.to_dict().items() if name not in unstated}

    def to_json_string(self, use_diff: bool = True) -> str:
        """Return the text of config.json.

        Args:
            use_diff: leave out optional fields that are the default, as config.json does.

        Returns:
            A JSON object.

        Raises:
            ValueError: if a value cannot be written as JSON.
        """
        values = self.to_diff_dict() if use_diff else self.to_dict()
        try:
            return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        except (TypeError, ValueError) as error:
            raise ValueError(f"the configuration cannot be written to {CONFIG_FILE}: {error}") from error

    def to_json_file(self, json_file_path: str | Path, use_diff: bool = True) -> None:
        """Write a JSON file.

        Args:
            json_file_path: the file.
            use_diff: leave out optional fields that are the default, as config.json does.

        Raises:
            ValueError: if the configuration cannot work, or cannot be written as JSON; then nothing is written.
        """
        self.validate()
        text = self.to_json_string(use_diff)
        Path(json_file_path).write_text(text, encoding="utf-8")

    @classmethod
    def from_dict(
        cls: type[ConfigT], config_dict: Mapping[str, Any], *, return_unused_kwargs: bool = False, **changes: Any
    ) -> ConfigT:
        """Return the configuration that a parsed config.json states.

        Args:
            config_dict: the content of config.json; what is no field is kept in `extra`.
            return_unused_kwargs: return unknown names among the changes, instead of refusing them.
            **changes: what to set in place of what is stated.

        Returns:
            The configuration; with `return_unused_kwargs`, it and the unknown changes.

        Raises:
            TypeError: naming all unknown names among the changes.
            ValueError: naming everything that cannot work, at once.
        """
        known = cls.settable_names()
        unused = {name: value for name, value in changes.items() if name not in known}
        if not return_unused_kwargs:
            refuse_unknown(f"{cls.__name__}.from_dict", unused, known)
        stated = cls._arranged(config_dict)
        changed = cls._arranged({name: value for name, value in changes.items() if name in known})
        extra = {**stated.pop("extra"), **changed.pop("extra")}
        config = cls(**{**cls._merged(stated, changed), "extra": extra})
        return (config, unused) if return_unused_kwargs else config  # type: ignore[return-value]  # as transformers types it

    @classmethod
    def _merged(cls, stated: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
        """Return the stated fields with some changed."""
        return {**stated, **changed}

    @classmethod
    def from_json_file(cls: type[ConfigT], json_file: str | Path) -> ConfigT:
        """Return the configuration that a JSON file states.

        Args:
            json_file: the file.

        Returns:
            The configuration.

        Raises:
            ValueError: if the file is no JSON object, or states what cannot work.
        """
        return cls._read(Path(json_file), False, {})

    @classmethod
    def _read(cls: type[ConfigT], path: Path, return_unused_kwargs: bool, changes: Mapping[str, Any]) -> ConfigT:
        """Return what `from_dict` makes of a file; errors name the file."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise ValueError("it holds no JSON object")
            return cls.from_dict(values, return_unused_kwargs=return_unused_kwargs, **changes)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_pretrained(
        cls: type[ConfigT],
        pretrained_model_name_or_path: str | Path,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = "main",
        *,
        subfolder: str = "",
        return_unused_kwargs: bool = False,
        **changes: Any,
    ) -> ConfigT:
        """Read config.json of a folder or a Hub repo, or another JSON file.

        Args:
            pretrained_model_name_or_path: a folder on disk, a repo's id on the Hub, or a JSON file.
            cache_dir: where downloaded files are kept; default: huggingface_hub's own cache.
            force_download: download files that are in the cache too.
            local_files_only: take files from the cache, and never ask the Hub.
            token: the Hub's token of the user; True: the one that is logged in; False: none.
            revision: branch, tag or commit of the repo.
            subfolder: the folder in it that the file lies in.
            return_unused_kwargs: return unknown names among the changes, instead of refusing them.
            **changes: what to set in place of what is stated (`num_labels=3`).

        Returns:
            The configuration; with `return_unused_kwargs`, it and the unknown changes.

        Raises:
            TypeError: naming all unknown names among the changes.
            ValueError: if the file is no JSON object, states another model type or what cannot work; or naming an option of
                transformers that is not supported.
            FileNotFoundError: if there is no such file.
        """
        refuse_unsupported(f"{cls.__name__}.from_pretrained", changes, UNSUPPORTED_LOADING)
        ignored = IGNORED_LOADING | UNSUPPORTED_LOADING.keys()
        changes = {name: value for name, value in changes.items() if name not in ignored}
        path = Path(pretrained_model_name_or_path)
        if not path.is_file():
            location = Location(
                pretrained_model_name_or_path, cache_dir=cache_dir, force_download=force_download, subfolder=subfolder,
                local_files_only=local_files_only, token=token, revision=revision,
            )  # fmt: skip
            return cls.from_location(location, return_unused_kwargs=return_unused_kwargs, **changes)
        return cls._read(path, return_unused_kwargs, changes)

    @classmethod
    def from_location(
        cls: type[ConfigT], location: Location, *, return_unused_kwargs: bool = False, **changes: Any
    ) -> ConfigT:
        """Read config.json of a folder or a repo.

        Args:
            location: the folder or the repo.
            return_unused_kwargs: return unknown names among the changes, instead of refusing them.
            **changes: what to set in place of what is stated.

        Returns:
            What `from_pretrained` returns.

        Raises:
            FileNotFoundError: if there is no such file.
        """
        path = location.find(CONFIG_FILE)
        if path is None:
            raise location.missing(CONFIG_FILE)
        changes.setdefault("name_or_path", str(location))
        return cls._read(path, return_unused_kwargs, changes)

    def save_pretrained(
        self, save_directory: str | Path, push_to_hub: bool = False, **options: Unpack[UploadOptions]
    ) -> None:
        """Write config.json.

        Args:
            save_directory: the folder; made if it does not exist.
            push_to_hub: commit the file to the Hub too.
            **options: where and how; see `UploadOptions`.

        Raises:
            ValueError: if the configuration cannot work, or cannot be written as JSON; then nothing is written.
        """
        check_push(f"{type(self).__name__}.save_pretrained", push_to_hub, options)
        folder = Path(save_directory)
        self.validate()
        text = self.to_json_string()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
        if push_to_hub:
            upload(folder, [CONFIG_FILE], [], **options)

    def push_to_hub(self, repo_id: str, **options: Unpack[CommitOptions]) -> str:
        """Commit config.json to a repo on the Hub, which is made if it does not exist.

        Args:
            repo_id: the repo.
            **options: how; see `CommitOptions`.

        Returns:
            The commit's address.
        """
        push = UploadOptions(repo_id=repo_id, **options)
        check_push(f"{type(self).__name__}.push_to_hub", True, push)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return upload(Path(folder), [CONFIG_FILE], [], **push)
