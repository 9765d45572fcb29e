"""sentencepiece models as `tokenizers` tokenizers: the file, its normalization, and the tokenizer with fairseq's ids."""
