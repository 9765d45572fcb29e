"""The names of the files in a model folder, which transformers and the Hub fix, and of the report that prenorm adds."""

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
CARD_FILE = "README.md"
PLOT_FILE = "parity.png"
REPORT_FILE = "parity_report.json"

# What transformers may read a tokenizer from, besides tokenizer_config.json.
TOKENIZER_SOURCES = (
    TOKENIZER_FILE, "vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model",
)  # fmt: skip
TOKENIZER_SUPPLEMENTS = ("special_tokens_map.json", "added_tokens.json")
