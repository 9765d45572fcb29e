"""What a user can choose, each option once: name, type, default, help and choices.

The command line's options, the keywords of the Python functions with their documentation, and the command on the model card
are made from the dataclasses in `groups`. Nothing here imports another module of prenorm but errors and progress, so that
`--help` is quick.
"""

from prenorm.options.conflicts import CONFLICTS, check_call
from prenorm.options.facts import (
    Kind,
    Option,
    OptionGroup,
    Section,
    StrPath,
    argument_fields,
    as_path,
    field_of,
    flag_of,
    option,
    option_fields,
    option_of,
    selected,
)
from prenorm.options.groups import (
    CONVERT_MODES,
    VERIFY_MODES,
    CardOptions,
    CompletionOptions,
    ConvertAndPushOptions,
    ConvertOptions,
    FolderOnlyOptions,
    GoldenOptions,
    InspectOptions,
    Options,
    PublicationOptions,
    PushOptions,
    RecordOptions,
    ReferenceOptions,
    SourceOptions,
    VerifyOptions,
)
from prenorm.options.modes import Modes
from prenorm.options.values import (
    ACTIVATIONS,
    AUTO,
    AUTO_CLASSES,
    CLASS_ENDINGS,
    COMPUTE_TYPES,
    REFERENCES,
    RUNTIMES,
    TASKS,
    WEIGHTS,
    TaskKind,
    classes_of,
)

__all__ = [
    "ACTIVATIONS", "AUTO", "AUTO_CLASSES", "CLASS_ENDINGS", "COMPUTE_TYPES", "CONFLICTS", "CONVERT_MODES",
    "REFERENCES", "RUNTIMES", "TASKS", "VERIFY_MODES", "WEIGHTS", "CardOptions", "CompletionOptions", "ConvertAndPushOptions",
    "ConvertOptions", "FolderOnlyOptions", "GoldenOptions", "InspectOptions", "Kind", "Modes", "Option",
    "OptionGroup", "Options", "PublicationOptions", "PushOptions", "RecordOptions", "ReferenceOptions", "Section",
    "SourceOptions", "StrPath", "TaskKind", "VerifyOptions", "argument_fields", "as_path", "check_call", "classes_of",
    "field_of", "flag_of", "option", "option_fields", "option_of", "selected",
]  # fmt: skip
