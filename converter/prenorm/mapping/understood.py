"""A checkpoint understood: described, mapped and planned, before a byte is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from prenorm.checkpoint import Checkpoint
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.mapping.dictionary import DictionaryChoice, choose_dictionary
from prenorm.mapping.plan import ConversionPlan, plan_conversion
from prenorm.mapping.task import choose_task
from prenorm.mapping.tokenizer import Gpt2Files, TokenizerChoice, choose_tokenizer, places_of
from prenorm.mapping.warnings import warnings
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
from prenorm.tokenization import Dictionary, Tokenization
from prenorm.tokenization.nearby import Place

# What was chosen, by all that the choice depends on: checkpoints of one run have the same tokenizer, which is made once.
TokenizerChoices = dict[object, tuple[DictionaryChoice, TokenizerChoice]]


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
    dictionary_choice: DictionaryChoice = field(default_factory=DictionaryChoice)

    @property
    def dictionary(self) -> Dictionary | None:
        """The dictionary, with a symbol for each of the embedding's rows; None if there is none that fits."""
        return self.dictionary_choice.dictionary

    @property
    def named_files(self) -> dict[str, object]:
        """The options that name the files which no option named, by field: with them a command makes the same again."""
        return {**self.dictionary_choice.options, **self.tokenizer.options}

    @property
    def tokenization(self) -> Tokenization | None:
        """The folder's tokenizer; None if it gets none."""
        return self.tokenizer.tokenization


def prepare(
    checkpoint: Checkpoint,
    options: SourceOptions,
    rows: int | None = None,
    *,
    gpt2_files: Gpt2Files | None = None,
    choices: TokenizerChoices | None = None,
) -> Prepared:
    """Normalize, describe and plan; write nothing.

    Args:
        checkpoint: the opened file.
        options: what the user chose about the source.
        rows: the vocabulary's rows in a folder that exists already, where no option names a tokenizer to say how many it
            needs.
        gpt2_files: returns the folder of GPT-2's files; None: they are had only if an option names them.
        choices: what was chosen for other checkpoints of the same run, which is kept here.

    Returns:
        The checkpoint, understood.

    Raises:
        PrenormError: if it is no model that can be converted with these options; the subclass says why.
    """
    tensors, canonical, arguments, description = describe_model(checkpoint, options)
    task = choose_task(description, options.task, options.head, as_path(options.label_dict))
    places = places_of(checkpoint.file.path, arguments)
    choice, tokenizer = _choose(places, options, description, vocabulary_multiple(arguments), gpt2_files, choices)
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
        choice,
    )


def _choose(
    places: tuple[Place, ...],
    options: SourceOptions,
    description: SourceDescription,
    multiple: int,
    gpt2_files: Gpt2Files | None,
    choices: TokenizerChoices | None,
) -> tuple[DictionaryChoice, TokenizerChoice]:
    """Choose dictionary and tokenizer, unless they were chosen for a checkpoint with the same vocabulary."""
    named = (options.dictionary, options.bpe_dir, options.sentencepiece, options.words, options.no_tokenizer)
    key = (places, description.vocab_size, description.pad_id, multiple, *named)
    if choices is not None and key in choices:
        return choices[key]
    choice = choose_dictionary(places, options, description, multiple)
    if choice.dictionary is not None:
        tokenizer = choose_tokenizer(choice.dictionary, options, places, gpt2_files)
    else:
        tokenizer = _without_dictionary(choice, options, description)
    if not options.no_tokenizer:
        tokenizer = replace(tokenizer, unfit=(*choice.unfit, *tokenizer.unfit))
    if choices is not None:
        choices[key] = choice, tokenizer
    return choice, tokenizer


def describe_model(
    checkpoint: Checkpoint, options: SourceOptions
) -> tuple[dict[str, SourceTensor], Canonical, Arguments, SourceDescription]:
    """Say which model a checkpoint holds, before anything else that it needs is looked for.

    Args:
        checkpoint: the opened file.
        options: what the user chose about the source.

    Returns:
        Its tensors, the same by canonical names, what it records, and its description.

    Raises:
        PrenormError: if it is no model that is known; the subclass says why.
    """
    tensors = model_tensors(checkpoint, options.weights)
    arguments = find_arguments(checkpoint.content)
    canonical, layers_kept = keep_layers(normalize(tensors), arguments)
    description = describe(
        checkpoint, canonical, arguments, weights=options.weights, layers_kept=layers_kept,
        attention_heads=options.attention_heads, activation=options.activation,
    )  # fmt: skip
    return tensors, canonical, arguments, description


def _without_dictionary(
    choice: DictionaryChoice, options: SourceOptions, description: SourceDescription
) -> TokenizerChoice:
    """Return that there is no tokenizer, and why, unless the user wants none or the model can have none."""
    if options.no_tokenizer or description.pad_id != USUAL_PAD_ID:
        return TokenizerChoice()
    if choice.unfit:
        return TokenizerChoice(lacking=f"give the dict.txt of the training run with {spoken('dictionary', ...)}")
    return TokenizerChoice(
        lacking="there is no dict.txt beside the checkpoint; copy it there from the training data, or give it with "
        f"{spoken('dictionary', ...)}"
    )
