"""Real limits for a process, without special rights: a full disk, files that cannot grow, modes that bind root too."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


def limit_files(size: int) -> None:
    """No file of this process grows beyond `size` bytes: the write that would do it fails (EFBIG)."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def mount_small_disk(folder: Path, size: int) -> bool:
    """Mounts a memory disk of `size` bytes on `folder`, for this process alone; False where the system does not let us.

    Ordinary users may do so in a namespace of their own, on systems that let them make one.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0 and not _own_namespace(libc):
        return False
    if libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        return False
    return bool(libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode()) == 0)


def _own_namespace(libc: ctypes.CDLL) -> bool:
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError:
        return False
    return True


def drop_power() -> None:
    """Takes root's power over file modes from this thread (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH); from others, nothing."""
    if not sys.platform.startswith("linux"):
        assert os.getuid() != 0, "run the tests as an ordinary user"
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("<Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    data = ctypes.create_string_buffer(24)  # effective, permitted, inheritable: bits 0-31 of each, then bits 32-63
    if libc.capget(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    words = list(struct.unpack("<6I", data.raw))
    words[:2] = [word & ~0b110 for word in words[:2]]
    if libc.capset(header, struct.pack("<6I", *words)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
