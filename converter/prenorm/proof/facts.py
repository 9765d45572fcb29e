"""What a report says of the checkpoint."""

from __future__ import annotations

from prenorm.errors import UnreadableCheckpoint
from prenorm.mapping.understood import Prepared


def source_facts(prepared: Prepared) -> dict[str, object]:
    """Return what a report says of the checkpoint, its checksums left out.

    Args:
        prepared: the checkpoint.

    Returns:
        Names, sizes and types; no paths.
    """
    description = prepared.description
    return {
        "file": prepared.checkpoint.file.name,
        **({"hub": dict(prepared.checkpoint.origin)} if prepared.checkpoint.origin else {}),
        "bytes": prepared.checkpoint.file.size,
        "container": description.container,
        "layout": description.layout,
        "producer": description.producer.value,
        "dtype": description.dtype,
    }


def source_digests(prepared: Prepared, digests: list[str]) -> dict[str, object]:
    """Return the checkpoint's checksums for a report.

    Args:
        prepared: the checkpoint.
        digests: SHA-256 of its files in their order, in hexadecimal.

    Returns:
        The first file's SHA-256; of a checkpoint in several files also `parts` with all of them.

    Raises:
        UnreadableCheckpoint: if a downloaded file is not the one that the Hub announced.
    """
    announced = prepared.checkpoint.announced
    if announced is not None and announced not in digests:
        raise UnreadableCheckpoint(
            "did not arrive as it is on the Hub: its SHA-256 differs",
            subject=prepared.checkpoint.file.path,
            advice="Remove it from the cache of huggingface_hub, and try again",
        )
    parts = [
        {"name": file.name, "bytes": file.size, "sha256": digest}
        for file, digest in zip(prepared.checkpoint.files, digests, strict=True)
    ]
    return {"sha256": digests[0], **({"parts": parts} if len(parts) > 1 else {})}
