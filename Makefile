# Two commands do everything, set-up included: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
FAIRSEQ_VENV := .venv-fairseq
OLD_VENV := .venv-transformers-4.57
OLD_HUB_VENV := .venv-hub-1
PEER := .peer
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE  # the tests start Python by the dozen, which would compile everything each time

.PHONY: demo test peer quick check tables format clean env fairseq-env hub-env verify

demo: $(VENV)/.installed
	rm -rf demo
	mkdir demo
	$(BIN)/prenorm convert fixtures/dinkytrain-mlm/checkpoint.pt demo/dinkytrain-mlm --bpe-dir fixtures/gpt2_bpe

# Judges a folder and writes the report in all its forms: make verify CHECKPOINT=checkpoint_best.pt FOLDER=my-model
verify: $(VENV)/.installed
	$(BIN)/prenorm verify "$(CHECKPOINT)" "$(FOLDER)" --report parity.json --report parity.md --report parity.html --report parity.xml $(OPTIONS)

test: $(VENV)/.installed $(FAIRSEQ_VENV)/.installed $(OLD_VENV)/.installed $(OLD_HUB_VENV)/.installed $(PEER)/.downloaded
	$(BIN)/python -m pytest -n auto --dist worksteal

# transformers' own tests over our classes; writes what becomes of them, which a test compares with what happens.
peer: $(VENV)/.installed $(PEER)/.downloaded
	HF_HUB_OFFLINE=1 PYTHONPATH=tests $(BIN)/python -m helpers.peer.table

# Everything that is not marked slow: what to run after every change.
quick: $(VENV)/.installed $(FAIRSEQ_VENV)/.installed $(OLD_HUB_VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pydoclint converter model
	$(BIN)/lint-imports --no-cache

# Writes the tables anew that tests hold against what happens.
tables: $(VENV)/.installed $(OLD_HUB_VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m helpers.variants
	PYTHONPATH=tests $(BIN)/python -m helpers.kill_table
	PYTHONPATH=tests $(BIN)/python -m helpers.distance_table
	PYTHONPATH=tests $(BIN)/python -m helpers.judged_table
	PYTHONPATH=tests $(BIN)/python -m helpers.hub.fault_table
	PYTHONPATH=tests $(BIN)/python -m helpers.documented_table

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

env: $(VENV)/.installed
fairseq-env: $(FAIRSEQ_VENV)/.installed
hub-env: $(OLD_HUB_VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

# Real fairseq, which the tests hold us against, in an interpreter of its own. The constraint reaches its build
# environment too, which would otherwise fetch another torch.
$(FAIRSEQ_VENV)/.installed: pyproject.toml constraints.txt
	test -x $(FAIRSEQ_VENV)/bin/python || $(PYTHON) -m venv $(FAIRSEQ_VENV)
	$(FAIRSEQ_VENV)/bin/python -m pip install --quiet --constraint constraints.txt torch
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(FAIRSEQ_VENV)/bin/python -m pip install --quiet "fairseq-fixed==0.12.3.1" safetensors sentencepiece
	touch $@

# The last transformers 4: it still has what later releases dropped, the classes in TensorFlow and Flax among it.
$(OLD_VENV)/.installed: constraints-transformers-4.57.txt
	test -x $(OLD_VENV)/bin/python || $(PYTHON) -m venv $(OLD_VENV)
	$(OLD_VENV)/bin/python -m pip install --quiet --constraint constraints-transformers-4.57.txt torch
	$(OLD_VENV)/bin/python -m pip install --quiet --constraint constraints-transformers-4.57.txt \
		transformers safetensors msgspec accelerate onnx onnxruntime onnxscript tensorflow tf_keras jax flax
	touch $@

# The last huggingface_hub 1, without torch: what pushing imports, and no more.
$(OLD_HUB_VENV)/.installed: constraints-hub-1.txt
	test -x $(OLD_HUB_VENV)/bin/python || $(PYTHON) -m venv $(OLD_HUB_VENV)
	$(OLD_HUB_VENV)/bin/python -m pip install --quiet --constraint constraints-hub-1.txt huggingface_hub click rich
	touch $@

# The tests of the transformers that is installed, from the package registry.
$(PEER)/.downloaded: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m helpers.peer.sources
	touch $@

clean:
	rm -rf $(VENV) $(FAIRSEQ_VENV) $(OLD_VENV) $(OLD_HUB_VENV) $(PEER) demo build dist *.egg-info
