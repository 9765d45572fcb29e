"""A checkpoint understood: described, mapped and planned, before a byte is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prenorm.checkpoint import Checkpoint
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import UsageProblem
from prenorm.mapping.plan import ConversionPlan, plan_conversion
from prenorm.mapping.task import choose_task
from prenorm.mapping.tokenizer import Gpt2Files, TokenizerChoice, choose_tokenizer, places_of
from prenorm.mapping.warnings import unfit_neighbour, warnings
from prenorm.options import SourceOptions, as_path
from prenorm.options.spoken import spoken
from prenorm.parts.model_parallel import vocabulary_multiple
from prenorm.source.arguments import Arguments, find_arguments
from prenorm.source.contents import model_tensors
from prenorm.source.description import SourceDescription, describe
from prenorm.source.folding import fold
from prenorm.source.layers import keep_layers
from prenorm.source.layouts import Canonical, normalize
from prenorm.source.positions import USUAL_PAD_ID
from prenorm.tokenization import Tokenization, named_options
from prenorm.tokenization.dictionary import Dictionary, check_rows, fill_up, find_dictionary, read_dictionary


@dataclass(frozen=True)
class Prepared:
    """A checkpoint read and understood, before anything is written."""

    checkpoint: Checkpoint
    tensors: dict[str, SourceTensor]
    canonical: Canonical
    arguments: Arguments
    description: SourceDescription
    tokenizer: TokenizerChoice
    plan: ConversionPlan
    warnings: tuple[str, ...]
    dictionary: Dictionary | None = None

    @property
    def tokenization(self) -> Tokenization | None:
        """The folder's tokenizer; None if it gets none."""
        return self.tokenizer.tokenization


def prepare(
    checkpoint: Checkpoint, options: SourceOptions, rows: int | None = None, *, gpt2_files: Gpt2Files | None = None
) -> Prepared:
    """Normalize, describe and plan; write nothing.

    Args:
        checkpoint: the opened file.
        options: what the user chose about the source.
        rows: the vocabulary's rows in a folder that exists already, where no option names a tokenizer to say how many it
            needs.
        gpt2_files: returns the folder of GPT-2's files; None: they are had only if an option names them.

    Returns:
        The checkpoint, understood.

    Raises:
        PrenormError: if it is no model that can be converted with these options; the subclass says why.
    """
    tensors = model_tensors(checkpoint, options.weights)
    arguments = find_arguments(checkpoint.content)
    canonical, layers_kept = keep_layers(normalize(tensors), arguments)
    description = describe(
        checkpoint, canonical, arguments, weights=options.weights, layers_kept=layers_kept,
        attention_heads=options.attention_heads, activation=options.activation,
    )  # fmt: skip
    task = choose_task(description, options.task, options.head, as_path(options.label_dict))
    multiple = vocabulary_multiple(arguments)
    dictionary = prepare_dictionary(checkpoint.file.path, options, description, multiple)
    if dictionary is not None:
        places = places_of(checkpoint.file.path, arguments)
        tokenizer = choose_tokenizer(dictionary, options, places, gpt2_files)
    else:
        tokenizer = _without_dictionary(checkpoint.file.path, options, description, multiple)
    extra_rows = max((rows or 0) - description.vocab_size, 0)
    if tokenizer.tokenization is not None and (rows is None or not tokenizer.options):
        extra_rows = tokenizer.tokenization.vocabulary.extra_rows
    plan = plan_conversion(description, fold(canonical, description), task, extra_rows)
    return Prepared(
        checkpoint,
        tensors,
        canonical,
        arguments,
        description,
        tokenizer,
        plan,
        tuple(warnings(checkpoint, plan, tokenizer)),
        dictionary,
    )


def _without_dictionary(
    source: Path, options: SourceOptions, description: SourceDescription, multiple: int
) -> TokenizerChoice:
    """Return that there is no tokenizer, and why, unless the user wants none or the model can have none."""
    if options.no_tokenizer or description.pad_id != USUAL_PAD_ID:
        return TokenizerChoice()
    fault = unfit_neighbour(source, description.vocab_size, multiple)
    if fault is None:
        return TokenizerChoice(
            lacking="there is no dict.txt beside the checkpoint; copy it there from the training data, or give it with "
            f"{spoken('dictionary', ...)}"
        )
    return TokenizerChoice(
        unfit=(f"dict.txt beside the checkpoint is not used: {fault}",),
        lacking=f"give the dict.txt of the training run with {spoken('dictionary', ...)}",
    )


def prepare_dictionary(
    source: Path, options: SourceOptions, description: SourceDescription, multiple: int = 1
) -> Dictionary | None:
    """Read the dictionary, if there is one; refuse one that does not fit, and options that need one.

    Args:
        source: the checkpoint's path, beside which the dictionary is looked for.
        options: what the user chose about the source.
        description: the model.
        multiple: what fairseq filled the dictionary up to a multiple of, for this model.

    Returns:
        The dictionary with a symbol for each of the embedding's rows, or None.

    Raises:
        UsageProblem: if the dictionary is missing where an option needs it, or does not fit.
    """
    named = named_options(as_path(options.bpe_dir), as_path(options.sentencepiece), options.words)
    if description.pad_id != USUAL_PAD_ID:
        if named or options.dictionary is not None:
            raise UsageProblem(
                f"the pad has id {description.pad_id}, so the dictionary's first rows are not <s> <pad> </s> <unk>, and no "
                "tokenizer can be made of it",
                advice=f"Leave {spoken('dictionary')} and {named or spoken('bpe_dir')} out",
            )
        return None
    path = find_dictionary(source, as_path(options.dictionary))
    # One that nobody named is no reason to refuse a folder without a tokenizer; a warning says what is wrong with it.
    if not named and options.dictionary is None and unfit_neighbour(source, description.vocab_size, multiple):
        return None
    if path is None:
        if named:
            raise UsageProblem(
                f"{named} needs fairseq's dictionary, and there is no dict.txt beside the checkpoint",
                advice=f"Give it with {spoken('dictionary', ...)}",
            )
        return None
    dictionary = fill_up(read_dictionary(path), description.vocab_size, multiple)
    check_rows(dictionary, description.vocab_size)
    return dictionary
