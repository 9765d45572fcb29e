"""Runs under real fairseq: one request a line in, one answer a line out, both JSON, until the input ends.

`train`: a sentencepiece model from lines of text. `load`: a tokenizer, from fairseq's own classes; `attempt`: the same, where
fairseq may refuse the files. `encode`, `decode`: with the hub interface's own methods; a model without a BPE, which the hub
interface has nothing for, as its task encodes it.
"""

import json
import sys
from types import SimpleNamespace

import sentencepiece
from fairseq.data import Dictionary
from fairseq.data.encoders.gpt2_bpe import GPT2BPE, GPT2BPEConfig
from fairseq.data.encoders.sentencepiece_bpe import SentencepieceBPE, SentencepieceConfig
from fairseq.models.roberta.hub_interface import RobertaHubInterface

LOADED = {}


def train(lines, model, options):
    """Writes MODEL.model; answers its pieces in their order."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=model, minloglevel=9, num_threads=1, **options
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=f"{model}.model")
    return [processor.IdToPiece(number) for number in range(processor.GetPieceSize())]


def load(name, kind, dictionary, source=None):
    """A tokenizer by the name; answers the rows of its dictionary."""
    known = Dictionary.load(dictionary)
    known.add_symbol("<mask>")
    bpe = None
    if kind == "sentencepiece":
        bpe = SentencepieceBPE(SentencepieceConfig(sentencepiece_model=source))
    elif kind == "gpt2":
        config = GPT2BPEConfig(gpt2_encoder_json=f"{source}/encoder.json", gpt2_vocab_bpe=f"{source}/vocab.bpe")
        bpe = GPT2BPE(config)
    LOADED[name] = SimpleNamespace(bpe=bpe, task=SimpleNamespace(source_dictionary=known))
    return known.symbols


def attempt(**request):
    """The rows of the dictionary, or None: fairseq cannot load the files."""
    try:
        return load(**request)
    except Exception:
        return None


def encode_one(hub, text):
    """The ids, or None: no text (sentencepiece answers a lone surrogate with a RuntimeError), or encoder.json lacks it."""
    try:
        if hub.bpe is not None:
            return RobertaHubInterface.encode(hub, text).tolist()
        known = hub.task.source_dictionary
        return [known.bos(), *known.encode_line(text, add_if_not_exist=False).tolist()]
    except (UnicodeEncodeError, RuntimeError, KeyError):
        return None


def encode(name, texts):
    """The ids of each text."""
    return [encode_one(LOADED[name], text) for text in texts]


def decode(name, rows):
    """The text of each list of ids, without `<s>` and `</s>`."""
    hub = LOADED[name]
    known = hub.task.source_dictionary
    texts = [known.string(ids) for ids in map(as_tensor, rows)]
    return [hub.bpe.decode(text) if hub.bpe is not None else text for text in texts]


def as_tensor(ids):
    """A tensor, as `Dictionary.string` wants."""
    import torch

    return torch.tensor(ids, dtype=torch.long)


def main() -> None:
    """Answers until the input ends."""
    work = {"train": train, "load": load, "attempt": attempt, "encode": encode, "decode": decode}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(work[request.pop("do")](**request)), flush=True)


main()
