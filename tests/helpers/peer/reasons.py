"""Why some of transformers' tests do not apply to our classes: a sentence each, held against what happens."""

from __future__ import annotations

_LAYER = "It looks for transformers' own `GradientCheckpointingLayer`"

REASONS = {
    "test_can_load_ignoring_mismatched_shapes": "Weights that do not fit are refused with a ValueError that lists them all, "
    "or drawn anew with a warning of Python's; the test wants a RuntimeError and a line of transformers' logger.",
    "test_cannot_load_with_meta_device_context_manager": "A model loads under `torch.device('meta')` too: its weights come "
    "from the file, wherever new tensors would be made.",
    "test_generation_tester_mixin_inheritance": "Generation beyond greedy and sampling is left to transformers: "
    "`to_transformers()`. Its mixin is not in the source distribution either.",
    "test_gradient_checkpointing_backward_compatibility": "No field of the config switches checkpointing on, a method does.",
    "test_gradient_checkpointing_enable_disable": f"{_LAYER}; what else it checks, "
    "`test_peft_gradient_checkpointing_enable_disable` checks as well.",
    "test_load_with_mismatched_shapes": "It gives `AutoModel` a config of ours, which is no `PreTrainedConfig`, and which "
    "transformers therefore does not read.",
    "test_model_weights_reload_no_missing_tied_weights": "A folder that lacks the encoder's weights is refused, and not "
    "filled up with fresh ones.",
    "test_resize_tokens_embeddings": "It wants the words of transformers' error for a `pad_to_multiple_of` that is no "
    "integer; ours names argument and value.",
    "test_resize_embeddings_untied_no_reinit_on_post_init": "There is no `post_init`: fresh weights are drawn when a model "
    "is made, and not again.",
    "test_save_load": "It wants a generation_config.json; the few settings that our generation has come from config.json.",
    "test_sdpa_can_dispatch_non_composite_models": "Which attention computes is no setting: the fused one, unless weights, a "
    "mask of heads or relative positions need the plain one.",
    "test_tied_weights_are_sharded_together": "There is no plan for tensor parallelism.",
    "test_tied_weights_keys": "In a state dict an alias is a copy, because `Trainer` writes a state dict as it stands, and "
    "safetensors refuses tensors that share memory; the parameters themselves are tied.",
    "test_training_gradient_checkpointing": f"{_LAYER}; ours has tests of its own.",
    "test_training_gradient_checkpointing_use_reentrant_false": f"{_LAYER}; ours has tests of its own.",
    "test_training_gradient_checkpointing_use_reentrant_true": f"{_LAYER}; ours has tests of its own.",
}
