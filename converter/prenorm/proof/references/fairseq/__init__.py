"""Real fairseq as a reference, in an interpreter of its own."""
