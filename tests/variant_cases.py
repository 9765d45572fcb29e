"""The variants that there are, and what must come of each."""

from __future__ import annotations

from variants import VARIANTS, Case

MASKED_LM = "RobertaPreLayerNormForMaskedLM"
CLASSIFICATION = "RobertaPreLayerNormForSequenceClassification"
CHOICE = "RobertaPreLayerNormForMultipleChoice"
ENCODER = "RobertaPreLayerNormModel"
XL_MASKED_LM = "XLMRobertaXLForMaskedLM"
XL_CLASSIFICATION = "XLMRobertaXLForSequenceClassification"
XL_CHOICE = "XLMRobertaXLForMultipleChoice"
XL_ENCODER = "XLMRobertaXLModel"

_LABELS = {"label_dict": VARIANTS / "sequence-classification" / "label_dict.txt"}
_ENCODER = {"task": "encoder"}


def activation(name: str) -> list[Case]:
    """As a masked LM it is refused, without its head it is exact."""
    case = f"activation-{name.replace('_', '-')}"
    return [Case(case, refusal=(3, f"activation_fn={name}, and transformers' masked-LM head always uses gelu")),
            Case(case, ENCODER, _ENCODER)]  # fmt: skip


CASES = (
    Case("dinkytrain-mlm", MASKED_LM),
    Case("dinkytrain-mlm", ENCODER, _ENCODER),
    Case("dinkytrain-classification", CLASSIFICATION),
    Case("dinkytrain-classification", MASKED_LM, {"task": "masked-lm"}),
    Case("dinkytrain-no-embedding-norm", XL_MASKED_LM),
    Case("dinkytrain-no-embedding-norm", XL_ENCODER, _ENCODER),
    Case("dinkytrain-deepspeed-fp16", MASKED_LM),
    Case("fairseq-0.12.2-hydra", MASKED_LM),
    Case("fairseq-0.10.2-postnorm", refusal=(3, "post-LayerNorm model, although its arguments say")),
    Case("sequence-classification", CLASSIFICATION, _LABELS),
    Case("classification-padded-labels", CLASSIFICATION,
         {"label_dict": VARIANTS / "classification-padded-labels" / "label_dict.txt"}),
    Case("classification-relu", CLASSIFICATION),
    Case("regression", CLASSIFICATION),
    Case("regression-two-targets", CLASSIFICATION),
    Case("spectral-norm-head", CLASSIFICATION),
    Case("sentence-ranking", CHOICE),
    Case("prenorm-masked-lm", XL_MASKED_LM),
    Case("prenorm-classification", XL_CLASSIFICATION),
    Case("prenorm-ranking", XL_CHOICE),
    Case("head-inner-dim", refusal=(3, "makes 24 values of 16")),
    Case("head-inner-dim", ENCODER, _ENCODER),
    Case("pooler-relu", refusal=(3, "pooler_activation_fn=relu")),
    Case("pooler-relu", MASKED_LM, {"task": "masked-lm"}),
    Case("activation-gelu", MASKED_LM),
    *activation("gelu_accurate"),
    *activation("gelu_fast"),
    *activation("relu"),
    *activation("relu_squared"),
    *activation("tanh"),
    *activation("linear"),
    Case("untied", MASKED_LM),
    Case("scaled-embedding", MASKED_LM),
    Case("sinusoidal-positions", MASKED_LM),
    Case("no-positions", MASKED_LM),
    Case("scaled-sinusoidal-prenorm", XL_MASKED_LM),
    Case("other-pad-id", MASKED_LM),
    Case("fsdp-shards", MASKED_LM),
    Case("fsdp-shards-one-wrapper", MASKED_LM),
    Case("fsdp-shards-unflattened", MASKED_LM),
    Case("fsdp-shards-old-metadata", MASKED_LM),
    Case("model-parallel-parts", XL_MASKED_LM),
    Case("model-parallel-shards", CLASSIFICATION),
    Case("model-parallel-shards", MASKED_LM, {"task": "masked-lm"}),
)  # fmt: skip
