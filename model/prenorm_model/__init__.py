"""RoBERTa-PreLayerNorm without transformers, interchangeable with it.

State-dict names, config keys and folder format are those of Hugging Face's `roberta-prelayernorm`; folders of
`xlm-roberta-xl`, the same model without a norm after the embeddings, load as well.

The configuration and the outputs need no framework. The models are PyTorch's, and under the documented prefixes Keras'
(`TF...`) and Flax's (`Flax...`); a framework is imported when one of its names is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

if TYPE_CHECKING:
    from prenorm_model.flax import *  # noqa: F403 - a type checker sees the names; `import *` of this package does not
    from prenorm_model.keras import *  # noqa: F403 - a type checker sees the names; `import *` of this package does not
    from prenorm_model.torch import (
        KeyValueCache,
        RobertaPreLayerNormForCausalLM,
        RobertaPreLayerNormForMaskedLM,
        RobertaPreLayerNormForMultipleChoice,
        RobertaPreLayerNormForQuestionAnswering,
        RobertaPreLayerNormForSequenceClassification,
        RobertaPreLayerNormForTokenClassification,
        RobertaPreLayerNormModel,
    )

__all__ = [
    "BaseModelOutputWithPoolingAndCrossAttentions",
    "CausalLMOutputWithCrossAttentions",
    "KeyValueCache",
    "MaskedLMOutput",
    "MultipleChoiceModelOutput",
    "QuestionAnsweringModelOutput",
    "RobertaPreLayerNormConfig",
    "RobertaPreLayerNormForCausalLM",
    "RobertaPreLayerNormForMaskedLM",
    "RobertaPreLayerNormForMultipleChoice",
    "RobertaPreLayerNormForQuestionAnswering",
    "RobertaPreLayerNormForSequenceClassification",
    "RobertaPreLayerNormForTokenClassification",
    "RobertaPreLayerNormModel",
    "SequenceClassifierOutput",
    "TokenClassifierOutput",
]


class _Framework(NamedTuple):
    """A part of the package that is imported on demand, since it imports a framework.

    Attributes:
        part: the subpackage that has the names.
        needs: the modules that it needs.
        install: how to install them.
    """

    part: str
    needs: tuple[str, ...]
    install: str


_MODELS = ("RobertaPreLayerNormFor", "RobertaPreLayerNormModel")
# What is not published under a name yet is installed from a clone.
_TORCH = _Framework("torch", ("torch",), "pip install .")
_KERAS = _Framework("keras", ("keras", "tensorflow"), "pip install '.[tensorflow]'")
_FLAX = _Framework("flax", ("flax", "jax"), "pip install '.[flax]'")
# The names of the other frameworks are in no `__all__`: `import *` would import what is perhaps not installed.
_FRAMEWORKS = {
    f"{prefix}{name}": framework
    for prefix, framework in (("Flax", _FLAX), ("TF", _KERAS))
    for name in __all__
    if name.startswith(_MODELS)
}
# Where each public name is that is not defined above.
_PARTS = {name: _TORCH for name in __all__ if name not in globals()} | _FRAMEWORKS


def __getattr__(name: str) -> Any:
    """Return a public name that is not defined above: a framework's, which is imported now (PEP 562)."""
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    part, needs, install = _PARTS[name]
    try:
        module = import_module(f"{__name__}.{part}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in needs:
            raise
        raise ImportError(f"{name} needs {' and '.join(needs)}; in the clone of prenorm: {install}") from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """Return the names of the module, those that are not imported yet but could be among them."""
    installed = {name for name, item in _FRAMEWORKS.items() if all(find_spec(module) for module in item.needs)}
    return sorted({*globals(), *__all__, *installed})
