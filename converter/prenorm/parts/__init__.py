"""Checkpoints that fairseq saved in several files: FSDP shards, model-parallel parts, and parts in shards.

`open_checkpoint` opens a file; where it is one of several, it opens the others beside it and puts the model together.
Nothing is copied for that: the whole tensors are lists of places in the files.
"""

from prenorm.parts.model_parallel import vocabulary_multiple
from prenorm.parts.names import are_siblings
from prenorm.parts.opening import open_checkpoint

__all__ = ["are_siblings", "open_checkpoint", "vocabulary_multiple"]
