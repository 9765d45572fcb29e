"""The documentations of transformers against this package: every argument, default, output field, method and example.

`make tables` writes the table; a test compares with it, and the generator ends where something has neither a counterpart nor
a reason.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import prenorm_model
from helpers.documentation import FACTS
from helpers.paths import TESTS
from prenorm_model.torch.inputs import ModelOptions
from prenorm_model.torch.positional import older_order

TABLE = TESTS / "model" / "documented_table.md"
PAGES = ("4.34", "5.2")
# By the beginning of a class's name: what is called with the inputs, and where its documented examples are run.
FRAMEWORKS = {
    "TF": ("call", "tests/model/keras/test_documented.py"),
    "Flax": ("__call__", "tests/model/flax/test_documented_examples.py"),
    "": ("forward", "tests/model/test_documented_examples.py"),
}
_HEAD = """# What transformers documents of this model, and what this package has

The pages are those of transformers 4.34 and 5.2, the inherited names those of the classes of the releases that are named.
"same" is the same name with the same default. Written by `make tables` from `fixtures/documentation.json`.

| class | what | name | page | here |
|---|---|---|---|---|
"""
_LEFT = "left to transformers, which `to_transformers()` gives"
# Why a name is not here: by patterns of names, of which the first that matches counts.
_REASONS: dict[str, str] = {
    r"adapter|peft": f"{_LEFT}; peft itself wraps these models",
    r"parallel|_plan|fsdp|tp_size|distribut|shard|barrier|on_this_rank": "several devices are left to torch's DDP and FSDP2",
    r"extended_attention_mask|invert_attention": "transformers 5 has dropped it; a mask may have two to four dimensions",
    r"^validate_": "part of transformers' own machinery of configs",
    r"attn_impl|experts_impl|kernel|compiled_call|backend_compat": "there is one implementation, on torch's fused kernel",
    r"^(max_length|min_length|do_sample|early_stopping|num_\w+|temperature|top_[kp]|typical_p)$|penalty|ngram|tokens?_ids?$|"
    r"suppress|words_ids|output_scores|return_dict_in|remove_invalid": "an option of generation, which is none of the model",
    r"batch|generat|heal_tokens|transition": _LEFT,
    r"encoder$|decoder$": "there is one stack of layers, `base_model.encoder`, of an encoder and of a decoder",
    r"^dequantize": f"quantization is {_LEFT}",
    r"prune_heads|head_mask": "transformers 5 has dropped it; the argument `head_mask` does what pruning does",
    r"bettertransformer|memory_hooks|framework|is_parallel|bfloat16|tf_legacy": "transformers 5 has dropped it",
    r"position_embeddings": "transformers raises NotImplementedError for this model",
    r"auto_class|remote_code|custom_code|model_tags|can_record|modalities|modules_from_names|init_context|warn_if":
        "part of transformers' own machinery: automatic classes, code and tags on the Hub, captured outputs",
    r"initialize|init_weights|post_init|mark_tied|expanded_tied|non_persistent|or_buffer":
        "part of transformers' own machinery of loading; here the weights are initialized and tied when the model is made",
    r"floating_point_ops|estimate_tokens": "an estimate that transformers 5 has dropped",
    r"loss_function": "each class computes its loss itself, from `labels`",
    r"rope|theta|heterogeneous|per_layer|layer_type|mtp|sub_config|base_config|text_\w+_configs": "of models of other kinds",
    r"default_config_fields|extra_|dtype_to_str|get_config_dict|update_from_string|no_defaults":
        "part of transformers' own machinery of configs",
}  # fmt: skip


def reason(name: str) -> str:
    """Why there is nothing of that name."""
    for pattern, sentence in _REASONS.items():
        if re.search(pattern, name):
            return sentence
    raise LookupError(f"{name} is documented, is not here, and no reason is known")


def same(name: str, default: str, arguments: dict[str, Any]) -> str:
    """Whether there is an argument of that name and default."""
    if name not in arguments:
        return reason(name)
    own = arguments[name]
    if own is inspect.Parameter.empty or str(own) == default.strip("'") or _number(own) == _number(default):
        return "same"
    raise LookupError(f"{name} is {own} here and {default} there")


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def arguments_of(function: Any) -> dict[str, Any]:
    """The arguments with their defaults, those that are handed on among them."""
    found: dict[str, Any] = {}
    for item in inspect.signature(function).parameters.values():
        if item.kind is item.VAR_KEYWORD:
            found |= dict.fromkeys(ModelOptions.__annotations__ | _inherited_annotations(), None)
        else:
            found[item.name] = item.default
    return found


def _inherited_annotations() -> dict[str, Any]:
    bases = ModelOptions.__orig_bases__ if hasattr(ModelOptions, "__orig_bases__") else ()
    return {key: value for base in bases for key, value in getattr(base, "__annotations__", {}).items()}


def framework_of(name: str) -> tuple[str, str]:
    """What is called of a class, and where its examples are run."""
    return next(found for prefix, found in FRAMEWORKS.items() if name.startswith(prefix))


def output_fields(name: str) -> list[str]:
    """The fields of what a class returns, after its documentation."""
    stated = re.search(r"`(\w+Output\w*)`", getattr(prenorm_model, name).forward.__doc__)
    assert stated is not None
    return [item.name for item in dataclasses.fields(getattr(prenorm_model, stated[1]))]


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """Every row of the table: class, what, name, page, what is here."""
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    for page in PAGES:
        for name, stated in facts[page].items():
            if not hasattr(prenorm_model, name):
                yield name, "class", name, page, reason(name)
                continue
            yield from _class_rows(name, stated, page)
            if stated["examples"]:
                _, examples = framework_of(name)
                assert name in (TESTS.parent / examples).read_text(encoding="utf-8")
                yield name, "examples", str(stated["examples"]), page, f"run by {examples}"
    owners = {
        "models": prenorm_model.RobertaPreLayerNormForCausalLM,
        "config": prenorm_model.RobertaPreLayerNormConfig(),
    }
    for version, inherited in facts["inherited"].items():
        for what, owner in owners.items():
            for name in inherited[what]:
                yield what, "inherited", name, version, "same" if hasattr(owner, name) else reason(name)


def _class_rows(name: str, stated: dict[str, Any], page: str) -> Iterator[tuple[str, str, str, str, str]]:
    owner = getattr(prenorm_model, name)
    for argument, default in stated["init"]:
        yield name, "argument", argument, page, same(argument, default, arguments_of(owner))
    if not stated["forward"]:
        return
    call, _ = framework_of(name)
    arguments = arguments_of(getattr(owner, call))
    for argument, default in stated["forward"]:
        yield name, f"argument of {call}", argument, page, same(argument, default, arguments)
    parameters = inspect.signature(getattr(owner, call)).parameters.values()
    newer = [item.name for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD][1:]
    documented = [argument for argument, _ in stated["forward"]]
    if call == "forward":
        order = newer if page == "5.2" else older_order(newer)
    else:  # what is documented stands first; Flax' first argument has no default, and so is not among the facts
        order = newer[newer.index(documented[0]) :][: len(documented)]
    assert order == documented, (name, page, order)
    yield name, "order by position", ", ".join(order), page, "same"
    for field in stated["outputs"]:
        yield name, "output", field, page, "same" if field in output_fields(name) else reason(field)


def render() -> str:
    """The whole table."""
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows())


if __name__ == "__main__":
    TABLE.write_text(render(), encoding="utf-8")
