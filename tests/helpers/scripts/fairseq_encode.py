"""Runs under real fairseq: texts in as JSON, the ids of its own encode out. Arguments: BPE folder, dictionary."""

import json
import sys
from types import SimpleNamespace

from fairseq.data import Dictionary
from fairseq.data.encoders.gpt2_bpe import GPT2BPE, GPT2BPEConfig
from fairseq.models.roberta.hub_interface import RobertaHubInterface


def main() -> None:
    """Encodes with the hub interface's own method, over fairseq's own BPE and dictionary."""
    bpe_dir, dictionary_file = sys.argv[1:]
    dictionary = Dictionary.load(dictionary_file)
    dictionary.add_symbol("<mask>")
    config = GPT2BPEConfig(gpt2_encoder_json=f"{bpe_dir}/encoder.json", gpt2_vocab_bpe=f"{bpe_dir}/vocab.bpe")
    hub = SimpleNamespace(bpe=GPT2BPE(config), task=SimpleNamespace(source_dictionary=dictionary))
    texts = json.load(sys.stdin)
    json.dump([RobertaHubInterface.encode(hub, text).tolist() for text in texts], sys.stdout)


main()
