"""Reading checkpoints: never execute, never load what is not needed.

`open_file` maps one file, recognizes its container, and returns its contents with every tensor still in the file.
`prenorm.parts.open_checkpoint` does so for a checkpoint that may lie in several files.
"""

from prenorm.checkpoint.checkpoint import Checkpoint
from prenorm.checkpoint.container.mapped_file import MappedFile
from prenorm.checkpoint.container.ranged_file import ByteSource, RangedFile
from prenorm.checkpoint.opening import Mapped, open_file
from prenorm.checkpoint.pickle.globals import NamedGlobal, Risk
from prenorm.checkpoint.tensors import LazyTensor, SourceTensor

__all__ = [
    "ByteSource", "Checkpoint", "LazyTensor", "Mapped", "MappedFile", "NamedGlobal", "RangedFile", "Risk", "SourceTensor",
    "open_file",
]  # fmt: skip
