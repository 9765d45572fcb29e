"""`verify`: a folder against its checkpoint, a golden file, or by itself. It reads only, and lists everything that disagrees.

The checkpoint's checksum is begun before what computes is imported: that takes torch most of a second on one core.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.keywords import with_modes
from prenorm.commands.opening import gpt2_files, open_folder, open_source, with_weights
from prenorm.files import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from prenorm.folder.digests import Digests
from prenorm.mapping.frequency import frequency_warning
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import AUTO, VERIFY_MODES, FolderOnlyOptions, GoldenOptions, VerifyOptions, as_path
from prenorm.reports.failure import require_all_judged
from prenorm.source.contents import model_tensors
from prenorm.tokenization import named_options

if TYPE_CHECKING:
    from prenorm.checkpoint import Checkpoint
    from prenorm.folder.published import Published
    from prenorm.reports.model import Check, Report


@with_modes(VERIFY_MODES)
def verify(options: VerifyOptions | GoldenOptions | FolderOnlyOptions) -> Report:
    """Judge a model folder, and list everything that disagrees; nothing is written.

    There are three ways to call it. A keyword that one of them cannot use is an error:

        verify(checkpoint, folder, ...)       by the checkpoint: config, tokenizer, every tensor, and the numbers
        verify(folder, golden=FILE, ...)      by a file that `record` made; takes `runtime` and `revision`
        verify(folder, folder_only=True, ...) by whether it works in the installed transformers; takes `revision`

    Args:
        options: the arguments and keywords; `task` is the folder's own unless it is chosen.

    Returns:
        The report, whatever its verdict: of the kind fitness for `folder_only`, else of parity.

    Raises:
        UsageProblem: if an argument or a file does not fit, or there is not one thing to judge by.
        NotRepresentable: if no Hugging Face architecture computes what the checkpoint computes.
        UnreadableCheckpoint: if checkpoint, golden file or pickled weights are damaged, incomplete or unsafe.
        HubProblem: if the Hub does not hand out the checkpoint or the folder.
        NotJudged: with `strict`, if a folder passed and a part that changes what it computes was not judged; its `report`
            says which.
    """
    report = _judge(options)
    if options.strict:
        require_all_judged(report, options.folder)
    return report


def _judge(options: VerifyOptions | GoldenOptions | FolderOnlyOptions) -> Report:
    """Judge a folder in the way that the options mean."""
    if isinstance(options, FolderOnlyOptions):
        return _try_out(options)
    if isinstance(options, GoldenOptions):
        from prenorm.commands.record import verify_golden

        return verify_golden.with_options(options)
    return _verify_by_checkpoint(options)


def _verify_by_checkpoint(options: VerifyOptions) -> Report:
    """Judge a folder by its checkpoint."""
    options.listener.stage("Reading", 1)
    checkpoint = open_source(options.checkpoint, options)
    checkpoint = with_weights(checkpoint, model_tensors(checkpoint, options.weights).values(), options)
    with Digests(checkpoint) as digests, tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        from prenorm.proof import (
            CHOICES,
            JudgedFolder,
            prove_by_checkpoint,
            require_installed,
            tokenizer_by_dictionary,
            unjudged_parts,
            vocabulary_rows,
        )

        require_installed(CHOICES[options.runtime])
        published = open_folder(options.folder, Path(scratch), options.revision, options)
        understood = replace(options, task=published.kind.value) if options.task == AUTO else options
        prepared = _understood(checkpoint, understood, published, vocabulary_rows(published.tensors))
        facts = {"task": prepared.plan.task.kind.value, "notes": [*published.notes, *_nearby(prepared)]}
        tokenizer = tokenizer_by_dictionary(published.path, prepared.tokenization, prepared.dictionary)
        foreign = frequency_warning(prepared, prepared.dictionary if tokenizer.is_judged else None)
        if foreign is not None:
            options.listener.warn(foreign)
        report, _ = prove_by_checkpoint(
            prepared,
            JudgedFolder.opened(published, facts),
            options,
            digests,
            CHOICES[options.runtime],
            compute=options.compute,
            progress=options.listener,
            tokenizer=tokenizer,
        )
        return report.with_unjudged(unjudged_parts(published, tokenizer))


def _understood(checkpoint: Checkpoint, options: VerifyOptions, published: Published, rows: int | None) -> Prepared:
    """Understand a checkpoint; the tokenizer's files that lie near it are what the folder's is judged by, if it has one."""
    named = named_options(as_path(options.bpe_dir), as_path(options.sentencepiece), options.words)
    if named is None and not (published.path / TOKENIZER_FILE).is_file():
        options = replace(options, no_tokenizer=True)
    prepared = prepare(
        checkpoint, options, rows, gpt2_files=gpt2_files(options, may_fetch=False) if named is not None else None
    )
    for text in prepared.tokenizer.unfit:
        options.listener.warn(text)
    return prepared


def _nearby(prepared: Prepared) -> Iterator[str]:
    """Yield the dictionary, and what the tokenizer is judged by, if no option names it; no paths: reports are published."""
    choice = prepared.dictionary_choice
    if choice.dictionary is not None and choice.where:
        yield f"dictionary: {choice.dictionary.path.name}, {choice.size}, found with the checkpoint"
    elif choice.dictionary is not None:
        yield f"dictionary: {choice}"
    if prepared.tokenizer.nearby:
        yield f"tokenizer judged by {prepared.tokenizer.nearby}, found with the checkpoint"


def _try_out(options: FolderOnlyOptions) -> Report:
    """Try a folder out in everything that its readers use."""
    from prenorm.fitness import judge_folder, require_transformers

    require_transformers()
    options.listener.stage("Trying out", 1)
    with tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        published = open_folder(options.folder, Path(scratch), options.revision, options)
        return judge_folder(published).with_unjudged(_unjudged(published))


def _unjudged(published: Published) -> list[Check]:
    """Return what a trial cannot judge: the values themselves, the tokenizer's ids, and the files that no reader tries."""
    from prenorm.proof import NO_TOKENIZER, not_judged, unjudged_files
    from prenorm.reports.model import Check

    values = (
        "nothing here says what the checkpoint computes, and what its tokenizer makes of a text; give CHECKPOINT, or a file "
        "of prenorm record with --golden"
    )
    rows = [Check.not_judged("parity", values, counts=False)]
    has_tokenizer = (published.path / TOKENIZER_FILE).is_file()
    if not has_tokenizer:
        rows.append(not_judged(NO_TOKENIZER))
    judged = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, "special_tokens_map.json") if has_tokenizer else ()
    return [*rows, *unjudged_files(published, judged)]
