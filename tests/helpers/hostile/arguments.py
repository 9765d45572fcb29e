"""Training arguments made to mislead, to crash, or to write on the user's terminal."""

from __future__ import annotations

from .bombs import itself
from .payloads import SHELL
from .registry import hostile_stream, register_stream
from .writing import (
    ARGUMENTS,
    FALSE,
    HIDDEN,
    NONE,
    TRUE,
    Stream,
    get,
    list_of,
    mapping,
    named,
    namespace,
    number,
    put,
    real,
    sound,
    text,
    tuple_of,
)

_NO_HEADS = "the model is sound; what is missing is the number of heads, which the user can give"
_REFUSED = "the file is sound and safe; the model is one that no target computes"
_NOWHERE = "number of attention heads nowhere"


def _register(name: str, arguments: dict[str, bytes], cause: str, code: int = 4, why: str = "") -> None:
    register_stream(f"arguments/{name}", lambda: sound(arguments=arguments), cause, code=code, why=why)


_register("heads-0", {"encoder_attention_heads": number(0)}, "encoder_attention_heads=0 does not divide")
_register("heads-negative", {"encoder_attention_heads": number(-2)}, "encoder_attention_heads=-2 does not divide")
_register(
    "heads-3",
    {"encoder_attention_heads": number(3)},
    f"encoder_attention_heads=3 does not divide the width of {HIDDEN}",
)
_register("heads-2-to-400", {"encoder_attention_heads": number(1 << 400)}, "does not divide")
_register("heads-true", {"encoder_attention_heads": TRUE}, _NOWHERE, 2, _NO_HEADS)
_register("heads-text", {"encoder_attention_heads": text("2")}, _NOWHERE, 2, _NO_HEADS)
_register("heads-list", {"encoder_attention_heads": list_of(number(2))}, _NOWHERE, 2, _NO_HEADS)
_register("width-other", {"encoder_embed_dim": number(1 << 300)}, "arguments and tensors contradict each other")
_register("dropout-nan", {"dropout": real(float("nan"))}, "the argument dropout=nan is no dropout rate")
_register("dropout-negative", {"dropout": real(-0.5)}, "the argument dropout=-0.5 is no dropout rate")
_register("dropout-infinite", {"attention_dropout": real(float("inf"))}, "attention_dropout=inf is no dropout rate")
_register("dropout-text", {"dropout": text("0.1\n\x1b[2J" + "x" * 9000)}, "the argument dropout=.* is no dropout rate")
_register("dropout-list", {"dropout": list_of(*[text("x" * 99)] * 999)}, "the argument dropout=.* is no dropout rate")
_register("activation-escapes", {"activation_fn": text("\x1b]0;owned\x07\nError: fine")}, r"activation_fn=\\x1b\]0;owned",
          3, _REFUSED)  # fmt: skip
_register("activation-long", {"activation_fn": text("gelu" * 100_000)}, "activation_fn=gelugelu", 3, _REFUSED)
_register("activation-markup", {"activation_fn": text("[bold red]owned[/bold red]")}, r"activation_fn=\[bold red\]owned",
          3, _REFUSED)  # fmt: skip
_register("layers-to-keep-long", {"encoder_layers_to_keep": list_of(*[text("y" * 500)] * 900)}, "to_keep=", 4)


@hostile_stream("encoder_layers_to_keep='a list of 50000' is no list of different layer numbers")
def layers_to_keep_of_megabytes() -> Stream:
    """A list of references to one long text, which a message would spell out."""
    kept = text("y" * (4 << 20)) + put(9) + b"0" + list_of(*[get(9)] * 50_000)
    return sound(arguments={"encoder_layers_to_keep": kept})


@hostile_stream("no tokenizer", code=0)
def crowd_before_the_model() -> Stream:
    """Many arguments before the one that matters; it is read all the same (the embedding is scaled)."""
    crowd = named({f"a{i}": text("x" * 2000) for i in range(1_000)})
    model = namespace({**ARGUMENTS, "no_scale_embedding": FALSE})
    return sound(beside={"cfg": named({"crowd": crowd, "model": model})})


@hostile_stream(_NOWHERE, code=2, why=_NO_HEADS)
def model_section_is_a_list() -> Stream:
    return sound(beside={"cfg": named({"model": list_of(text("encoder_attention_heads"))})})


@hostile_stream(_NOWHERE, code=2, why=_NO_HEADS)
def keys_that_are_no_text() -> Stream:
    return sound(beside={"cfg": mapping([(number(1), NONE), (tuple_of(text("model")), namespace(ARGUMENTS))])})


@hostile_stream(_NOWHERE, code=2, why=_NO_HEADS)
def namespace_without_a_state() -> Stream:
    return sound(beside={"cfg": NONE, "args": namespace({})[: -len(named({})) - 1] + itself("list") + b"b"})


@hostile_stream("no tokenizer", containers="zip", code=0)
def history_of_nonsense() -> Stream:
    """What the model card tells of the training is numbers, or nothing."""
    history = list_of(named({"num_updates": number(1 << 500)}))
    facts = named({"max_update": real(float("inf")), "seed": number(-(1 << 500)), "batch_size": text("<script>")})
    return sound(beside={"optimizer_history": history}, arguments={"x": facts, "seed": number(1 << 500)})


@hostile_stream(r"names posix\.system", containers="zip", code=0, attack=True)
def payloads_among_the_arguments() -> Stream:
    return sound(arguments={"user_dir": SHELL, "callbacks": list_of(SHELL, tuple_of(SHELL))})
