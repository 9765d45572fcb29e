"""fairseq's own model, built from the arguments and filled with the checkpoint's tensors."""

from __future__ import annotations

import argparse
import bisect
import importlib
import types
from typing import Any

import torch

from .files import byte_count, read_tensors
from .patches import strictly
from .refusal import Refusal

_HEADS = "classification_heads."
LM_HEAD = "encoder.lm_head."
_TEACHER = "encoder._ema"


class LoadedModel:
    """fairseq's RobertaModel, built as the request says and filled with its tensors.

    The request: `file` (the tensors, under the names that fairseq is to load), `arguments`, `vocab_size`, `pad`,
    `spectral_heads` ({name: [outputs, inner size]}), `lm_head` (whether the tensors have one), `lm_activation` (of the LM
    head, where it is not the encoder's), `teacher` (whether the file also had data2vec's).

    Attributes:
        request: the request.
        model: fairseq's model.
        encoder: its encoder.
        origins: the source tensor that each name of the model comes from.
        dtype: the type that the model is in.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        """Build the model, and load the tensors.

        Args:
            request: the request.

        Raises:
            Refusal: if this fairseq cannot build or load it.
        """
        self.request = request
        self.source = read_tensors(request["file"])
        self.wide = any(tensor.dtype == torch.float64 for tensor in self.source.values())
        self.args = argparse.Namespace(**request["arguments"])
        self.model = self._build()
        self.encoder: Any = getattr(getattr(self.model, "encoder", None), "sentence_encoder", None)
        self.model.eval()
        self._check_order()
        self.origins: dict[str, str] = {}
        self.dtype = torch.float32
        if self.wide:
            self.become(torch.float64)
        else:
            self._fill()
            self.source.clear()  # never read again

    def _build(self) -> Any:
        roberta = importlib.import_module("fairseq.models.roberta")
        utils = importlib.import_module("fairseq.utils")
        dictionary = self._dictionary()
        longest = self.args.max_positions
        task = types.SimpleNamespace(
            source_dictionary=dictionary, dictionary=dictionary, max_positions=lambda: longest, args=self.args
        )
        model = roberta.RobertaModel.build_model(self.args, task)
        model.args.load_checkpoint_heads = True
        for name, (outputs, inner) in self.request["spectral_heads"].items():
            model.args.spectral_norm_classification_head = True
            model.register_classification_head(name, num_classes=outputs, inner_dim=inner)
        model.args.spectral_norm_classification_head = False
        if self.request["lm_activation"] is not None:
            model.encoder.lm_head.activation_fn = utils.get_activation_fn(self.request["lm_activation"])
        return model

    def _dictionary(self) -> Any:
        """Make a dictionary of the right size: nothing but its length and the pad's id enters the model."""
        dictionary = importlib.import_module("fairseq.data").Dictionary()
        for number in range(self.request["vocab_size"] - len(dictionary)):
            dictionary.add_symbol(f"symbol{number}")
        dictionary.pad_index = self.request["pad"]
        if len(dictionary) != self.request["vocab_size"]:
            raise Refusal("build", f"fairseq's dictionary has at least {len(dictionary)} symbols")
        return dictionary

    def _check_order(self) -> None:
        """Refuse fairseq up to 0.10.2, which takes `encoder_normalize_before`, but builds post-LayerNorm."""
        before = [getattr(layer, "normalize_before", False) for layer in getattr(self.encoder, "layers", [])]
        if not before or not all(before) or getattr(self.encoder, "layer_norm", None) is None:
            raise Refusal("version", "it builds no pre-LayerNorm RoBERTa (that came after 0.10.2)")

    def _fill(self) -> None:
        """Load the tensors the way fairseq does: its own upgrade of old names, its own choice of layers, strictly.

        Of heads with spectral norm fairseq's upgrade expects an `out_proj.weight` that such heads do not have; they are
        loaded by themselves.
        """
        apart = tuple(_HEADS + name + "." for name in self.request["spectral_heads"])
        state: dict[str, Any] = {
            key: value for key, value in self.source.items() if not (apart and key.startswith(apart))
        }
        if self.request["teacher"]:
            state[_TEACHER] = {}  # what tells fairseq that this is data2vec's; the teacher itself is not needed
        if not self.request["lm_head"]:  # as fairseq does it for data2vec: the fresh head stays, and is never asked
            weights = self.model.encoder.lm_head.state_dict()
            state.update({LM_HEAD + key: value for key, value in weights.items()})
        with strictly(self._note):
            # A copy of the arguments: fairseq takes `encoder_layers_to_keep` out once it has chosen the layers.
            self.model.load_state_dict(state, strict=True, model_cfg=argparse.Namespace(**vars(self.args)))
            for name in self.request["spectral_heads"]:
                at = _HEADS + name + "."
                weights = {key[len(at) :]: value for key, value in self.source.items() if key.startswith(at)}
                self.model.classification_heads[name].load_state_dict(weights)

    def _note(self, module: Any, state: dict[str, Any]) -> None:
        """Note which source tensor each name comes from: fairseq's upgrade renames and cuts, but does not copy."""
        at = next(name for name, candidate in self.model.named_modules() if candidate is module)
        places = sorted((tensor.data_ptr(), byte_count(tensor), name) for name, tensor in self.source.items())
        for key, value in state.items():
            place = value.data_ptr() if isinstance(value, torch.Tensor) else 0
            number = bisect.bisect_right(places, (place, float("inf"))) - 1
            if number >= 0 and place < places[number][0] + places[number][1]:
                self.origins[at + "." + key if at else key] = places[number][2]

    def become(self, dtype: Any) -> None:
        """Turn the model to another type; what was stored in float64 is read anew, since float32 does not hold it.

        Args:
            dtype: torch.float32 or torch.float64.
        """
        if dtype == self.dtype:
            return
        self.model.to(dtype)
        self.dtype = dtype
        if self.wide and dtype == torch.float64:
            self._fill()
