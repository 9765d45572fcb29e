"""What a checkpoint's globals stand for: a table from names to harmless functions of ours, and a word on the rest.

Only the names that a fairseq checkpoint needs are in the table. The functions build descriptions (`LazyTensor`, plain
dictionaries, strings), never objects of the class that was named.
"""

from __future__ import annotations

from collections.abc import Callable

from prenorm.checkpoint.container.mapped_file import ByteRange, MappedFile
from prenorm.checkpoint.dtypes import ITEM_SIZES, STORAGE_TYPES
from prenorm.checkpoint.limits import (
    MAX_COPIED_ENTRIES,
    MAX_KEY_CHARACTERS,
    MAX_SHARING,
    MAX_STORAGES,
    MAX_TENSORS,
    MAX_TEXT_BYTES,
)
from prenorm.checkpoint.pickle.machine import Rebuild
from prenorm.checkpoint.pickle.placeholders import GlobalName
from prenorm.checkpoint.pickle.shown import shown
from prenorm.checkpoint.tensors import LazyTensor, Storage, check_view
from prenorm.errors import UnreadableCheckpoint

_STORAGE_MODULES = ("torch", "torch.storage", "torch.cuda")

Locate = Callable[[Storage], ByteRange]


class Rebuilder:
    """Builds the values of one pickle. `locate` says where a storage lies, or that it cannot be there."""

    def __init__(self, file: MappedFile, locate: Locate) -> None:
        self.file = file
        self.locate = locate
        self.storages: dict[str, Storage] = {}
        self._copied = 0
        self._encoded = 0
        self._tensors = 0
        self._claimed = 0
        self.table: Rebuild = {
            GlobalName("torch._utils", "_rebuild_tensor"): self._tensor,
            GlobalName("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            GlobalName("torch._utils", "_rebuild_tensor_v3"): self._typed_tensor,
            GlobalName("torch._utils", "_rebuild_parameter"): _first,
            GlobalName("torch._utils", "_rebuild_parameter_with_state"): _first,
            GlobalName("torch.nn.parameter", "Parameter"): _first,
            GlobalName("torch", "Size"): _first,
            GlobalName("torch", "device"): _first,
            GlobalName("collections", "OrderedDict"): self._ordered_dict,
            GlobalName("collections", "defaultdict"): lambda args: {},
            GlobalName("_codecs", "encode"): self._latin1_bytes,
        }

    def persistent(self, pid: object) -> object:
        """Read torch's reference to a storage: ("storage", type, key, location, numel[, view]).

        Args:
            pid: what the stream gives as a persistent id.

        Returns:
            The storage.

        Raises:
            UnreadableCheckpoint: if it is no sound reference, or claims more than the file holds.
        """
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise _damaged("a persistent reference is no storage")
        kind, key, numel = pid[1], pid[2], pid[4]
        known_kind = isinstance(kind, GlobalName) and kind.module in _STORAGE_MODULES
        dtype = STORAGE_TYPES.get(kind.name) if known_kind else None
        if dtype is None:
            raise _damaged(f"storage type '{shown(kind)}' is not one of torch's plain types")
        if type(key) is not str or type(numel) is not int or not 0 <= numel < 1 << 62 or len(key) > 256:
            raise _damaged("a storage has no sound key or size")
        if numel * ITEM_SIZES[dtype] > self.file.size:
            raise _damaged(f"storage '{key}' claims {numel} elements of {dtype}, in a file of {self.file.size} bytes")
        if len(pid) > 5 and pid[5] is not None:
            raise _damaged(f"storage '{key}' is a view of another, which torch stopped writing in 2017")
        storage = Storage(key, dtype, numel)
        known = self.storages.setdefault(key, storage)
        if known != storage:
            raise _damaged(f"storage '{key}' is named with two types or sizes")
        if len(self.storages) > MAX_STORAGES:
            raise _damaged(f"it names more than {MAX_STORAGES} storages")
        return known

    def _tensor(self, args: tuple[object, ...]) -> LazyTensor:
        storage = args[0] if args else None
        if not isinstance(storage, Storage) or len(args) < 4:
            raise _damaged("a tensor is rebuilt from something that is no storage")
        return self._view(storage, self.locate(storage), args)

    def _typed_tensor(self, args: tuple[object, ...]) -> LazyTensor:
        """Make a tensor of `_rebuild_tensor_v3`: as v2, over an untyped storage, with the type as seventh argument."""
        storage, dtype = (args[0] if args else None), (args[6] if len(args) > 6 else None)
        name = dtype.name if isinstance(dtype, GlobalName) and dtype.module == "torch" else ""
        if not isinstance(storage, Storage) or name not in ITEM_SIZES:
            raise _damaged("a tensor is rebuilt from something that is no storage, or with an unknown type")
        typed = Storage(storage.key, name, storage.numel // ITEM_SIZES[name])
        return self._view(typed, self.locate(storage), args)

    def _view(self, storage: Storage, span: ByteRange, args: tuple[object, ...]) -> LazyTensor:
        """Make the tensor, once its numbers are held against its storage, and all tensors together against the file."""
        offset, shape, stride = check_view(storage, *args[1:4])
        tensor = LazyTensor(self.file, span, storage.dtype, shape, stride, offset)
        self._tensors += 1
        self._claimed += tensor.numel * ITEM_SIZES[storage.dtype]
        if self._tensors > MAX_TENSORS:
            raise _damaged(f"it has more than {MAX_TENSORS} tensors")
        if self._claimed > MAX_SHARING * self.file.size:
            raise _damaged(
                f"its tensors claim {self._claimed} bytes together, in a file of {self.file.size}, by sharing storages"
            )
        return tensor

    def _ordered_dict(self, args: tuple[object, ...]) -> dict[object, object]:
        """Make a dictionary of `OrderedDict()` or, from Python 2, `OrderedDict([[key, value], ...])`."""
        pairs = args[0] if args else []
        if not isinstance(pairs, list | tuple | dict):
            raise _damaged(f"a dictionary is made of {shown(pairs)}")
        self._copied += len(pairs)
        if self._copied > MAX_COPIED_ENTRIES:
            raise _damaged("its dictionaries copy one another without end")
        if isinstance(pairs, dict):
            return dict(pairs)
        if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
            raise _damaged("a dictionary is made of something that is no pairs")
        return {key: value for key, value in pairs if isinstance(key, str) and len(key) <= MAX_KEY_CHARACTERS}

    def _latin1_bytes(self, args: tuple[object, ...]) -> object:
        """Make bytes as protocol 2 writes them: `_codecs.encode(text, 'latin1')`."""
        text = args[0] if args else None
        if not isinstance(text, str):
            return None
        self._encoded += len(text)
        if self._encoded > MAX_TEXT_BYTES:
            raise _damaged(f"it holds more than {MAX_TEXT_BYTES >> 20} MB of text")
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            return None


def _first(args: tuple[object, ...]) -> object:
    return args[0] if args else None


def _damaged(what: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(
        f"the pickle inside cannot be read: {what}", advice="The file is no checkpoint, or it is damaged"
    )
