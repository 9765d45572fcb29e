"""Checks of what the numbers cannot show: config, tokenizer, weights, and the audit of all tensors."""
