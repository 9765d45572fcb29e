"""The one table of types is torch's and safetensors' own."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save

from prenorm.checkpoint.dtypes import ITEM_SIZES, SAFETENSORS_NAMES, STORAGE_TYPES, byte_count, torch_dtype


@pytest.mark.parametrize("name", ITEM_SIZES)
def test_types_are_torchs(name: str) -> None:
    assert str(torch_dtype(name)) == f"torch.{name}"
    assert torch.zeros(3, 5, dtype=torch_dtype(name)).nbytes == byte_count(name, (3, 5)) == 15 * ITEM_SIZES[name]
    storage = next(storage for storage, dtype in STORAGE_TYPES.items() if dtype == name)
    assert getattr(torch, storage).dtype == torch_dtype(name)


@pytest.mark.parametrize("name", SAFETENSORS_NAMES)
def test_names_are_those_that_safetensors_writes(name: str) -> None:
    raw = save({"x": torch.zeros(2, dtype=torch_dtype(name))})
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert header["x"]["dtype"] == SAFETENSORS_NAMES[name]
