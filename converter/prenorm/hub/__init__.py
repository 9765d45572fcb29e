"""The Hub, both ways: folders and checkpoints from it, a proven folder to it. All through huggingface_hub's own client.

Nothing here needs torch, and the HTTP library beneath the client is never named: it differs between its releases.
"""

from prenorm.hub.addresses import HubFile, check_repo_id, hub_file, is_repo, is_repo_id
from prenorm.hub.checkpoints import HubCheckpoint, find_checkpoint
from prenorm.hub.download import download_folder
from prenorm.hub.pinned import cached_files, download_files
from prenorm.hub.publishable import Publishable
from prenorm.hub.push import Pushed, check_push, push_folder
from prenorm.hub.retries import RetryPolicy

__all__ = [
    "HubCheckpoint", "HubFile", "Publishable", "Pushed", "RetryPolicy", "cached_files", "check_push", "check_repo_id",
    "download_files", "download_folder", "find_checkpoint", "hub_file", "is_repo", "is_repo_id", "push_folder",
]  # fmt: skip
