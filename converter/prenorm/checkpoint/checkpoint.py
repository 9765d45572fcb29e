"""An opened checkpoint: what was pickled, and the files that hold its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prenorm.checkpoint.container.mapped_file import ByteRange, MappedFile
from prenorm.checkpoint.container.zip import Record, check_crc
from prenorm.checkpoint.pickle.globals import NamedGlobal
from prenorm.checkpoint.tensors import LazyTensor


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. `content` is what was pickled, foreign objects replaced by placeholders.

    `parts` are the single files of a checkpoint that lies in several; `file` is the first of them, then. `origin` says for a
    report where the file was downloaded from, `announced` which SHA-256 the files should have, by their names.
    """

    file: MappedFile
    container: str
    content: Mapping[str, object]
    globals: tuple[NamedGlobal, ...]
    records: Mapping[ByteRange, Record]
    parts: tuple[Checkpoint, ...] = ()
    origin: Mapping[str, object] | None = None
    announced: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        size = sum(file.size for file in self.files)
        return f"<Checkpoint {self.file.name}: {self.container}, {size:,} bytes, {len(self.content)} entries>"

    @property
    def files(self) -> tuple[MappedFile, ...]:
        """All files that the checkpoint lies in."""
        return tuple(part.file for part in self.parts) or (self.file,)

    def check_integrity(self, tensor: LazyTensor) -> None:
        """Hold the bytes of the tensor's storage against the container's checksum, where it has one.

        Args:
            tensor: a tensor of this checkpoint.

        Raises:
            UnreadableCheckpoint: if the file was damaged after it was written.
        """
        holder = next((part for part in self.parts if part.file is tensor.file), self)
        record = holder.records.get(tensor.span)
        if record is not None:
            check_crc(holder.file, record)
