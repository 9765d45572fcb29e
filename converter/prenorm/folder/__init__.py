"""The model folder: its files, written and read; atomic publication; checksums; in `card` the model card."""

from prenorm.folder.digests import Digests
from prenorm.folder.files import row_nbytes, row_pieces, write_bytes, write_json, write_text, write_weights
from prenorm.folder.published import Published, StoredTensor, open_published
from prenorm.folder.staging import check_not_set_aside, check_output, publish, remove_leftovers, staging_folder

__all__ = [
    "Digests", "Published", "StoredTensor", "check_not_set_aside", "check_output", "open_published", "publish",
    "remove_leftovers", "row_nbytes", "row_pieces", "staging_folder", "write_bytes", "write_json", "write_text",
    "write_weights",
]  # fmt: skip
