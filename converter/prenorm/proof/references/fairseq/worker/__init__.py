"""Runs under the interpreter that has fairseq: builds fairseq's own RoBERTa and answers with what it computes.

A package of its own that is copied to where the other interpreter starts, for Python 3.8 and later: the standard library,
numpy, torch and fairseq, and nothing of prenorm. It unpickles nothing: tensors come and go as safetensors files, everything
else as lines of JSON. Requests come on stdin; answers leave on the original stdout, each line behind a mark, while whatever
fairseq prints goes to stderr.

    load  builds the model and fills it. Answers which source tensors matter, which classes were built, and the warnings.
    run   one batch. Answers once per stage, with a file of activations, and the noise of each.
"""
