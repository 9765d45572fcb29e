"""transformers' own tests of its models, run over ours."""
