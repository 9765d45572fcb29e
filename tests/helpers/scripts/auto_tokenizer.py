"""Runs under any transformers: what AutoTokenizer makes of folders. Arguments: folders. Standard input: texts."""

import json
import sys

import transformers


def look(folder, texts):
    """The ids, what decoding gives, a padded pair, and the settings."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text)["input_ids"] for text in texts]
    padded = tokenizer([texts[1], "a"], padding=True)
    named = ("bos", "pad", "eos", "unk", "cls", "sep", "mask")
    return {
        "ids": ids,
        "texts": [tokenizer.decode(row[1:-1]) for row in ids],
        "pair": tokenizer("a", "the")["input_ids"],
        "keys": sorted(padded),
        "padded": [row[-1] for row in padded["input_ids"]],
        "special": {name: getattr(tokenizer, f"{name}_token_id") for name in named},
        "model_max_length": tokenizer.model_max_length,
        "padding_side": tokenizer.padding_side,
        "clean_up": tokenizer.clean_up_tokenization_spaces,
        "rows": len(tokenizer),
    }


def main() -> None:
    """Answers for all folders."""
    texts = json.load(sys.stdin)
    found = {"version": transformers.__version__, "folders": [look(folder, texts) for folder in sys.argv[1:]]}
    json.dump(found, sys.stdout)


main()
