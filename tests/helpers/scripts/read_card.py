"""Reads a card with the huggingface_hub of this interpreter: its data, and the card written again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from huggingface_hub import ModelCard

card = ModelCard(Path(sys.argv[1]).read_text(encoding="utf-8"))
print(json.dumps([card.data.to_dict(), str(card)]))
