"""Where checkpoints and model folders come from: a path, or a place on the Hub, which is downloaded first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from prenorm.checkpoint import ByteSource, Checkpoint, Mapped, MappedFile, RangedFile, SourceTensor
from prenorm.checkpoint.container.mapped_file import ByteRange
from prenorm.checkpoint.tensors import storages
from prenorm.errors import HubProblem, UsageProblem
from prenorm.files.spans import Spans
from prenorm.folder.staging import check_not_set_aside
from prenorm.hub import (
    RetryPolicy,
    cached_files,
    download_files,
    download_folder,
    find_checkpoint,
    hub_file,
    is_repo,
)
from prenorm.mapping.understood import Prepared, TokenizerChoices, prepare
from prenorm.options import RequestOptions, SourceOptions, as_path
from prenorm.options.spoken import spoken
from prenorm.parts import are_siblings, open_checkpoint
from prenorm.tokenization import gpt2
from prenorm.tokenization.dictionary import DICTIONARY_FILE
from prenorm.tokenization.nearby import is_tokenizer_file

if TYPE_CHECKING:
    from prenorm.folder.published import Published


_DOWNLOAD = RetryPolicy(attempts=3)
_NEARLY_WHOLE = 0.75  # of a file that is weights: then the rest is fetched, too
# Where nobody asked for the network, a machine without any must not wait for it.
_UNASKED_TIMEOUT = 10.0  # seconds


def retry_policy(options: RequestOptions, usual: RetryPolicy) -> RetryPolicy:
    """Return how failed requests to the Hub are repeated.

    Args:
        options: what the user chose.
        usual: how they are where the user chose nothing.

    Returns:
        The policy.
    """
    attempts = usual.attempts if options.retries is None else options.retries + 1
    return replace(usual, attempts=attempts, timeout=usual.timeout if options.timeout is None else options.timeout)


def open_source(place: str | Path, options: SourceOptions) -> Checkpoint:
    """Open a checkpoint without running anything it carries and without reading its weights.

    Args:
        place: a file, or `hf://org/name/path.pt[@revision]`. Of a large file on the Hub no more is fetched than what says
            which tensors it holds; `with_weights` fetches these. `dict.txt` and a tokenizer's files beside it are
            downloaded, too.
        options: how the Hub is asked, and what receives a warning for each request that is tried again.

    Returns:
        The opened checkpoint.

    Raises:
        UsageProblem: if there is no such file.
        UnreadableCheckpoint: if it is no checkpoint, damaged, or made to do harm.
        HubProblem: if the Hub does not hand it out.
    """
    file = hub_file(str(place))
    if file is None:
        check_not_set_aside(Path(place))
        return open_checkpoint(place)
    name = PurePosixPath(file.path).name
    remote = find_checkpoint(
        file,
        lambda other: are_siblings(name, other),
        lambda other: other == DICTIONARY_FILE or is_tokenizer_file(other),
        retry_policy(options, _DOWNLOAD),
        options.listener,
        whole=options.whole,
    )
    opened = open_checkpoint(remote.path, _mapped(remote.sources, is_only_looked_at=True))
    return replace(opened, origin=remote.origin(), announced=remote.announced)


def with_weights(checkpoint: Checkpoint, tensors: Iterable[SourceTensor], options: SourceOptions) -> Checkpoint:
    """Fetch the weights of a checkpoint that is read by ranges.

    A file that is weights for the most part is fetched whole: then its checksum can be compared with the Hub's.

    Args:
        checkpoint: as `open_source` opened it.
        tensors: those that will be read.
        options: what receives the progress.

    Returns:
        The checkpoint, to be read as any other; the same if none of it lies on the Hub.

    Raises:
        UnreadableCheckpoint: if the weights do not lie where they should.
        HubProblem: if the Hub does not hand them out.
    """
    ranged = {file: spans for file, spans in storages(tensors).items() if isinstance(file, RangedFile)}
    if not any(isinstance(file, RangedFile) for file in checkpoint.files):
        return checkpoint
    whole = [file for file, spans in ranged.items() if _bytes_in(spans) > _NEARLY_WHOLE * file.size]
    wanted = {file: [ByteRange(0, file.size)] if file in whole else spans for file, spans in ranged.items()}
    missing = sum(file.missing(spans) for file, spans in wanted.items())
    if missing:
        options.listener.stage("Downloading", missing)
    for file, spans in wanted.items():
        file.fetch(spans, options.listener.advance)
    sources = {file.path: file.source for file in checkpoint.files if isinstance(file, RangedFile)}
    opened = open_checkpoint(checkpoint.file.path, _mapped(sources, is_only_looked_at=False))
    for part in opened.files:
        if part.path in {file.path for file in whole}:
            part.need(ByteRange(0, part.size))
    return replace(opened, origin=checkpoint.origin, announced=checkpoint.announced)


def prepare_with_weights(
    checkpoint: Checkpoint, options: SourceOptions, choices: TokenizerChoices | None = None
) -> Prepared:
    """Understand a checkpoint, and fetch its weights if it is on the Hub and can be converted.

    Args:
        checkpoint: as `open_source` opened it.
        options: what the user chose about the source.
        choices: the tokenizers of other checkpoints of the same run.

    Returns:
        The checkpoint, understood, to be read as any other.

    Raises:
        PrenormError: as of `prepare` and `with_weights`.
    """
    find_gpt2 = gpt2_files(options, may_fetch=True)
    prepared = prepare(checkpoint, options, gpt2_files=find_gpt2, choices=choices)
    fetched = with_weights(checkpoint, prepared.tensors.values(), options)
    return prepared if fetched is checkpoint else prepare(fetched, options, gpt2_files=find_gpt2, choices=choices)


def _mapped(sources: Mapping[Path, ByteSource], *, is_only_looked_at: bool) -> Mapped:
    """Return what maps a checkpoint's files: those that are read by ranges are fetched as they are read."""

    def mapped(path: str | Path) -> MappedFile:
        source = sources.get(Path(path))
        return MappedFile(path) if source is None else RangedFile(path, source, is_only_looked_at=is_only_looked_at)

    return mapped


def _bytes_in(spans: Iterable[ByteRange]) -> int:
    return Spans((span.start, span.end) for span in spans).total


def gpt2_files(options: SourceOptions, *, may_fetch: bool) -> Callable[[], Path | None]:
    """Return the way to GPT-2's files: huggingface_hub's cache, else the Hub.

    Args:
        options: where --bpe-dir gpt2 asks for them, the Hub is asked, and asked again.
        may_fetch: whether the Hub is asked in any case, if only once and not for long.

    Returns:
        A function that returns their folder; None if they are not in the cache and the Hub may not be asked. It raises
        `HubProblem` if the Hub does not hand them out.
    """
    is_named = gpt2.is_name(as_path(options.bpe_dir))

    def folder() -> Path | None:
        if not is_named and not may_fetch:
            return cached_files(gpt2.REPO_ID, gpt2.COMMIT, gpt2.FILES)
        try:
            policy = retry_policy(options, _DOWNLOAD) if is_named else RetryPolicy(attempts=1, timeout=_UNASKED_TIMEOUT)
            return download_files(gpt2.REPO_ID, gpt2.COMMIT, gpt2.FILES, policy, options.listener)
        except HubProblem as problem:
            names = " ".join(gpt2.FILES)
            raise HubProblem(
                f"its files {' and '.join(gpt2.FILES)} are not in the cache and cannot be fetched: {problem.cause}",
                subject=problem.subject,
                advice=(
                    f"Where there is a network, `hf download {gpt2.REPO_ID} {names} --revision {gpt2.COMMIT} --local-dir "
                    f"gpt2_bpe` gets them (fairseq's encoder.json and vocab.bpe are the same); then give "
                    f"{spoken('bpe_dir', 'gpt2_bpe')}"
                ),
            ) from problem

    return folder


def open_folder(
    place: str | Path, scratch: Path, revision: str | None = None, options: RequestOptions | None = None
) -> Published:
    """Open a model folder.

    Args:
        place: a local folder, or a repo id of the Hub.
        scratch: an empty folder for what has to be downloaded or rewritten first; it must outlive the result.
        revision: branch, tag or commit of a repo.
        options: how the Hub is asked, and what receives a warning for each download that is tried again.

    Returns:
        The opened folder; one of the Hub notes its commit.

    Raises:
        UsageProblem: if it is no model folder, or a killed run left it set aside.
        UnreadableCheckpoint: if its pickled weights are damaged or unsafe.
        HubProblem: if the Hub does not have it, or does not answer.
    """
    from prenorm.folder.published import open_published  # it brings torch

    downloaded, rewritten = scratch / "downloaded", scratch / "rewritten"
    downloaded.mkdir()
    rewritten.mkdir()
    check_not_set_aside(Path(place))  # before `out/model`, which a killed run left absent, is taken for a repo
    if not is_repo(place):
        if revision is not None:
            raise UsageProblem(f"{spoken('revision')} is for a repo on the Hub", subject=place, advice="Leave it out")
        return open_published(Path(place), rewritten)
    options = options or RequestOptions()
    policy = retry_policy(options, _DOWNLOAD)
    commit = download_folder(str(place), revision, downloaded, policy, options.listener)
    published = open_published(downloaded, rewritten)
    return replace(published, name=str(place), notes=(f"commit {commit} on the Hub", *published.notes))
