"""The source side: which model a checkpoint holds, in fairseq's own terms."""

from prenorm.source.arguments import Arguments, find_arguments
from prenorm.source.contents import model_tensors
from prenorm.source.description import SourceDescription, describe
from prenorm.source.folding import fold
from prenorm.source.layers import keep_layers
from prenorm.source.layouts import DEEPSPEED, ENCODER, HEADS, LAYER, LAYOUTS, Canonical, Layout, normalize
from prenorm.source.positions import USUAL_PAD_ID, PositionTable
from prenorm.source.sizes import HeadDescription

__all__ = [
    "DEEPSPEED", "ENCODER", "HEADS", "LAYER", "LAYOUTS", "USUAL_PAD_ID", "Arguments", "Canonical", "HeadDescription",
    "Layout", "PositionTable", "SourceDescription", "describe", "find_arguments", "fold", "keep_layers", "model_tensors",
    "normalize",
]  # fmt: skip
