"""The variants that there are, and what must come of each."""

from __future__ import annotations

from helpers.variants import VARIANTS, Case

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
    Case("two-heads", refusal=(2, "2 classification heads: ")),
    Case("two-heads", CLASSIFICATION, {"head": "tone"}),
    Case("two-heads", CLASSIFICATION, {"head": "topic", **_LABELS}),
    Case("dinkytrain-regression", CLASSIFICATION),
    Case("dinkytrain-ranking", CHOICE),
    Case("fairseq-0.12.2-masked-lm", MASKED_LM),
    Case("fairseq-0.12.2-classification", CLASSIFICATION),
    Case("fairseq-0.12.2-sinusoidal", MASKED_LM),
    Case("fairseq-0.12.2-dictconfig", MASKED_LM),
    Case("fairseq-march-2021-dictconfig", MASKED_LM),
    Case("dictconfig", MASKED_LM),
    Case("dictconfig-with-namespace", MASKED_LM),
    Case("hydra", MASKED_LM),
    Case("user-dir-classes", MASKED_LM),
    Case("arguments-only", MASKED_LM),
    Case("no-arguments", refusal=(2, "records its number of attention heads nowhere")),
    Case("no-arguments", MASKED_LM, {"attention_heads": 4}),
    Case("model-alone", MASKED_LM, {"attention_heads": 4}),
    Case("legacy-container", MASKED_LM),
    Case("decoder-prefix", MASKED_LM),
    Case("emb-layer-norm", MASKED_LM),
    Case("layer-norms-0-1", MASKED_LM),
    Case("packed-projections", MASKED_LM),
    Case("old-names-legacy-container", MASKED_LM),
    Case("no-lm-head", ENCODER),
    Case("averaged", MASKED_LM),
    Case("store-ema", MASKED_LM),
    Case("store-ema", options={"weights": "ema"}, refusal=(3, "a pre-LayerNorm model that lost its final norm")),
    Case("layerdrop", MASKED_LM),
    Case("layers-to-keep-from-scratch", MASKED_LM),
    Case("layers-to-keep-pruned", MASKED_LM),
    Case("pruned-feed-forward", MASKED_LM),
    Case("float16", MASKED_LM),
    Case("memory-efficient-fp16", MASKED_LM),
    Case("bfloat16", MASKED_LM),
    Case("data2vec", ENCODER),
    Case("post-layernorm", refusal=(3, "this is a post-LayerNorm model")),
    Case("fairseq-0.10.2-post-layernorm", refusal=(3, "this is a post-LayerNorm model, although")),
    Case("fairseq-0.9.0-post-layernorm", refusal=(3, "this is a post-LayerNorm model")),
    Case("linformer", refusal=(3, "self_attn.compress_k.weight' rules it out: it is a Linformer")),
    Case("bias-kv", refusal=(3, "self_attn.bias_k' rules it out")),
    Case("segment-embeddings", refusal=(3, "segment_embeddings.weight' rules it out")),
    Case("quant-noise-scalar", refusal=(3, "quant_noise_scalar=0.5")),
    Case("quant-noise-pq", refusal=(3, "quant_noise.weight' rules it out: quantization noise puts a linear layer")),
    Case("quant-noise-pq-prenorm", refusal=(3, "quant_noise.weight' rules it out")),
    Case("pruned-heads", refusal=(3, "heads were pruned")),
    Case("pruned-heads-unequal", refusal=(3, "heads were pruned")),
    Case("adaptive-input", refusal=(3, "this is a decoder-only language model")),
    Case("translation", refusal=(3, "this is an encoder-decoder model")),
    Case("wav2vec2", refusal=(3, "this is a wav2vec 2.0 or HuBERT speech model")),
    Case("hugging-face-state-dict", refusal=(3, "this is a Hugging Face model already")),
)  # fmt: skip
