"""Linear maps by oneDNN: the same numbers as by the module, and only where nobody put anything in its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.model_pairs import NAMES, SMALL, pair
from prenorm_model.torch.activations import FUNCTIONS
from prenorm_model.torch.linear import MIN_ROWS, apply_linear

IDS = torch.randint(2, SMALL["vocab_size"], (MIN_ROWS // 8, 16), generator=torch.Generator().manual_seed(0))


class Calls(TorchDispatchMode):
    """How many linear maps oneDNN computes."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "_linear_pointwise" in str(func)
        return func(*args, **(kwargs or {}))


def random_layer(inputs: int, outputs: int, rows: int, *, bias: bool = True) -> tuple[nn.Linear, Tensor]:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias), torch.randn(2, rows // 2, inputs)


@pytest.mark.parametrize("act", [None, *FUNCTIONS])
@pytest.mark.parametrize(("inputs", "outputs"), [(768, 768), (768, 3072), (3072, 768), (33, 17)])
def test_it_is_as_exact_as_the_module(inputs: int, outputs: int, act: str | None) -> None:
    layer, x = random_layer(inputs, outputs, 2 * MIN_ROWS)
    function = None if act is None else FUNCTIONS[act]
    with torch.no_grad(), Calls() as calls:
        found = apply_linear(layer, x, function)
    assert calls.count == 1
    with torch.no_grad():
        plain, exact = layer(x), copy.deepcopy(layer).double()(x.double())
        if function is not None:
            plain, exact = function(plain), function(exact)
    worst = (plain - exact).abs().max()
    assert (found - exact).abs().max() <= 2 * worst + 1e-6 * exact.abs().max()
    assert found.shape == plain.shape


def test_it_needs_no_bias() -> None:
    layer, x = random_layer(64, 32, 2 * MIN_ROWS, bias=False)
    with torch.no_grad():
        assert torch.allclose(apply_linear(layer, x), layer(x), atol=1e-5)


def with_a_hook(layer: nn.Linear) -> nn.Module:
    layer.register_forward_hook(lambda module, inputs, output: output + 1)
    return layer


def with_another_forward(layer: nn.Linear) -> nn.Module:
    own = layer.forward
    layer.forward = lambda x: own(x) + 1  # type: ignore[method-assign]
    return layer


class Adapted(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def of_another_class(layer: nn.Linear) -> nn.Module:
    adapted = Adapted(layer.in_features, layer.out_features)
    adapted.load_state_dict(layer.state_dict())
    return adapted


CHANGES: tuple[Callable[[nn.Linear], nn.Module], ...] = (with_a_hook, with_another_forward, of_another_class)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_stands_in_a_layers_place_is_called(change: Callable[[nn.Linear], nn.Module]) -> None:
    layer, x = random_layer(64, 32, 2 * MIN_ROWS)
    with torch.no_grad():
        plain = layer(x)
        assert torch.equal(apply_linear(change(layer), x), plain + 1)


def test_hooks_on_every_module_are_called() -> None:
    layer, x = random_layer(64, 32, 2 * MIN_ROWS)
    with torch.no_grad():
        plain = layer(x)
        handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output + 1)
        try:
            assert torch.equal(apply_linear(layer, x), plain + 1)
        finally:
            handle.remove()


@pytest.mark.parametrize("name", NAMES[:3])
def test_models_compute_the_same_either_way(name: str) -> None:
    """Of few tokens, with gradients, in other types, under autocast and with oneDNN switched off there is no such call."""
    net = pair(name)[0].float()
    with torch.no_grad(), Calls() as calls:
        fast = net(IDS)[0]
    assert calls.count >= 6 * net.config.num_hidden_layers
    with Calls() as calls, torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):  # type: ignore[no-untyped-call]
        plain = net(IDS)[0]
    assert calls.count == 0
    assert 0 < (fast - plain).abs().max() < 1e-5
    with Calls() as calls:
        assert torch.allclose(net(IDS)[0], plain, atol=1e-5)
        with torch.no_grad():
            net(IDS[:1])
            with torch.autocast("cpu", torch.bfloat16):
                net(IDS)
            net.double()(IDS)
    assert calls.count == 0


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_quantized_layers_are_used() -> None:
    net = pair(NAMES[0])[0].float()
    with torch.no_grad():
        plain = net(IDS)[0]
        quantized = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
        assert 1e-5 < (quantized(IDS)[0] - plain).abs().max() < 1.0
