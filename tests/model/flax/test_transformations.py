"""What JAX does with functions works on the models: jit, vmap, checkpointing, dropout, several devices, other types."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from helpers.flax_pairs import as_arrays, compiled, flax_pair
from helpers.model_pairs import batch, inputs_for
from prenorm_model.flax import losses
from prenorm_model.flax.packing import FlaxPacking

MASKED = "RobertaPreLayerNormForMaskedLM"


@pytest.fixture(scope="module")
def model() -> Any:
    with jax.enable_x64(True):
        return flax_pair(MASKED, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)[1]


def test_compiled_and_mapped_it_computes_the_same(model: Any) -> None:
    arrays = as_arrays(inputs_for(MASKED))
    plain = model(**arrays).logits
    assert np.abs(compiled(model)(model.params, arrays).logits - plain).max() <= 1e-10

    def of_one(row: Any) -> Any:
        return model(**{key: item[None] for key, item in row.items()}).logits[0]

    assert np.abs(jax.vmap(of_one)({key: jnp.asarray(item) for key, item in arrays.items()}) - plain).max() <= 1e-10
    output, names = model(**arrays), model(**arrays, return_dict=False, output_hidden_states=True)
    assert isinstance(names, tuple) and np.array_equal(names[0], output.logits) and len(names[1]) == 3


def test_dropout_follows_its_key_and_checkpointing_changes_no_gradient(model: Any) -> None:
    arrays = as_arrays(inputs_for(MASKED))
    labels = arrays["input_ids"]

    def gradient(net: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            return losses.token_loss(net(**arrays, params=params, train=True, dropout_rng=key).logits, labels)

        return jax.value_and_grad(loss)(model.params)

    value, plain = gradient(model, jax.random.key(1))
    other = flax_pair(MASKED, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)[1]
    other.enable_gradient_checkpointing()
    again, checkpointed = gradient(other, jax.random.key(1))
    assert abs(float(value) - float(again)) <= 1e-10
    assert (
        max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (plain, checkpointed)), strict=True))
        <= 1e-10
    )
    assert str(jax.make_jaxpr(lambda: gradient(other, jax.random.key(1)))()).count("remat") >= 2
    plainly = model(**arrays).logits
    first, second = (model(**arrays, train=True, dropout_rng=jax.random.key(seed)).logits for seed in (1, 2))
    assert not np.allclose(first, second) and not np.allclose(first, plainly)
    assert np.array_equal(model(**arrays, dropout_rng=jax.random.key(1)).logits, plainly)
    with pytest.raises(ValueError, match="train=True needs a dropout_rng"):
        model(**arrays, train=True)


def test_dropout_keeps_the_mean() -> None:
    """Where nothing but the embeddings' dropout acts, half of the entries are zero, the others doubled."""
    ours = flax_pair("RobertaPreLayerNormModel", hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.0)[1]
    arrays = as_arrays(inputs_for(""))
    plain = ours(**arrays, output_hidden_states=True).hidden_states[0]
    dropped = ours(**arrays, output_hidden_states=True, train=True, dropout_rng=jax.random.key(0)).hidden_states[0]
    kept = np.asarray(dropped != 0)
    assert 0.4 < kept.mean() < 0.6
    assert np.allclose(np.asarray(dropped)[kept], 2 * np.asarray(plain)[kept])


@pytest.mark.parametrize("name", ["RobertaPreLayerNormModel", MASKED, "RobertaPreLayerNormForQuestionAnswering"])
def test_without_its_pads_a_batch_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = flax_pair(name)[1]
    ids, mask = (item.numpy() for item in batch(16, 20))
    monkeypatch.setattr(ours, "min_pads", 1 << 30)
    plain = ours(ids, mask)
    monkeypatch.setattr(ours, "min_pads", 1)
    packed_tokens: list[int] = []
    unpack = FlaxPacking.unpack

    def noting(packing: FlaxPacking, x: Any) -> Any:
        if x.shape[1:] == (24,) and packing.index.shape[0] not in packed_tokens:
            packed_tokens.append(packing.index.shape[0])
        return unpack(packing, x)

    monkeypatch.setattr(FlaxPacking, "unpack", noting)
    packed = ours(ids, mask)
    assert np.abs(packed[0] - plain[0])[mask == 1].max() <= 1e-10
    real = int(mask.sum())
    rounded = -(-real // 64) * 64
    assert rounded < mask.size
    # A softmax over the length sees pads, too.
    assert packed_tokens == ([] if "Question" in name else [rounded])
    inside = jax.jit(lambda ids, mask: ours(ids, mask, real_tokens=rounded)[0])
    assert np.abs(inside(ids, mask) - plain[0])[mask == 1].max() <= 1e-10
    too_few = jax.jit(lambda ids, mask: ours(ids, mask, real_tokens=real - 1)[0])
    assert "Question" in name or np.isnan(too_few(ids, mask)).all()
    left = batch(16, 20, left=True)
    assert np.abs(ours(*(item.numpy() for item in left))[0] - _plainly(ours, left))[left[1].numpy() == 1].max() <= 1e-10


def _plainly(model: Any, arrays: Any) -> Any:
    least, model.min_pads = model.min_pads, 1 << 30
    output = model(*(item.numpy() for item in arrays))[0]
    model.min_pads = least
    return output


def test_arrays_that_a_compiled_function_closes_over() -> None:
    """Their values are known while it is traced; what is computed of them is not."""
    ours = flax_pair("RobertaPreLayerNormForSequenceClassification")[1]
    for left in (False, True):
        ids, mask = (jnp.asarray(item.numpy()) for item in batch(16, 20, left=left))
        expected, ours.min_pads = ours(ids, mask).logits, 1
        inside = jax.jit(lambda params, ids=ids, mask=mask: ours(ids, mask, params=params).logits)
        assert np.abs(inside(ours.params) - expected).max() <= 1e-10
        del ours.min_pads


@pytest.mark.parametrize(("dtype", "limit"), [("bfloat16", 0.06), ("float16", 0.01)])
def test_half_precision(dtype: str, limit: float) -> None:
    """The type that is computed in is one thing, that of the parameters another."""
    wide, half = (flax_pair("RobertaPreLayerNormModel", "float32")[1] for _ in range(2))
    half.dtype = jnp.dtype(dtype)
    half._set_structure(False)
    arrays = as_arrays(inputs_for(""))
    expected = wide(**arrays).last_hidden_state
    for params in (half.params, half.to_bf16(half.params) if dtype == "bfloat16" else half.to_fp16(half.params)):
        output = half(**arrays, params=params).last_hidden_state
        assert output.dtype == dtype
        apart = np.abs(np.asarray(output, np.float64) - expected)
        assert 0 < apart.mean() <= limit
    assert {leaf.dtype for leaf in jax.tree.leaves(half.to_fp32(params))} == {jnp.dtype("float32")}
    masked = half.to_bf16(half.params, mask=jax.tree.map(lambda leaf: leaf.ndim == 2, half.params))
    assert masked["LayerNorm"]["scale"].dtype == "float32"
    assert masked["pooler"]["dense"]["kernel"].dtype == "bfloat16"


def test_a_type_that_is_none_is_named() -> None:
    config = flax_pair(MASKED)[1].config
    from prenorm_model.flax import FlaxRobertaPreLayerNormForMaskedLM as Model

    for wrong in ("int32", "float7", 5):
        with pytest.raises(ValueError, match="not a floating-point type of JAX or its name"):
            Model(config, dtype=wrong)
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        Model(config, dtype="float64")


SHARDED = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from prenorm_model import RobertaPreLayerNormConfig
from prenorm_model.flax import FlaxRobertaPreLayerNormForMaskedLM

config = RobertaPreLayerNormConfig(
    vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    max_position_embeddings=16, initializer_range=0.3,
)
model = FlaxRobertaPreLayerNormForMaskedLM(config)
ids = np.random.default_rng(0).integers(2, 16, (8, 12))
ids[3, 7:] = 1
loss = lambda params, ids: (model(ids, ids != 1, params=params).logits ** 2).mean()
step = jax.jit(jax.value_and_grad(loss))
expected, gradient = step(model.params, ids)
mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)

def place(path, leaf):
    names = [key.key for key in path]
    columns = names[-1] == "kernel" and not {"query", "key", "value", "intermediate"}.isdisjoint(names)
    spec = P(None, "model") if columns else P("model") if names[-1] in ("kernel", "embedding") else P()
    return jax.device_put(leaf, NamedSharding(mesh, spec if leaf.ndim == 2 and leaf.shape[0] % 2 == 0 else P()))

params = jax.tree_util.tree_map_with_path(place, model.params)
assert len({str(leaf.sharding.spec) for leaf in jax.tree.leaves(params)}) == 3
value, sharded = step(params, jax.device_put(ids, NamedSharding(mesh, P("data"))))
apart = max(float(abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(*map(jax.tree.leaves, (gradient, sharded))))
print(jax.device_count(), abs(float(value) - float(expected)) < 1e-5, apart < 1e-5)
"""


@pytest.mark.slow
def test_sharded_over_four_devices_it_computes_the_same() -> None:
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    environment = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.stdout == "4 True True\n", done.stderr
