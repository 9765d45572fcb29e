"""Imports what huggingface_hub imports, and forgets huggingface_hub itself: it reads its settings as it is imported."""

import sys

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.utils import get_session

get_session()
assert HfApi and snapshot_download
for name in [*sys.modules]:
    if name.partition(".")[0] == "huggingface_hub":
        del sys.modules[name]
