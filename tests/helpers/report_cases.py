"""Reports for the tests: synthetic ones of any size, passing or failing, with every optional key or none."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

from prenorm import reports

Report = dict[str, Any]
PREFIX = "roberta_prelayernorm."
PARTS = {
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "intermediate.dense": "fc1",
    "output.dense": "fc2",
}
SHA256 = "2fa2b324bd2bf4299af1dc744cbdefd631651ce01a8f7e9f5c90539b475d9b2e"


def synthetic(layers: int = 3, *, fail_at: str | None = None, positions: int = 128) -> Report:
    """A report with every optional key. From the module `fail_at` on (say, 'layer.1.attention.self.key') all diverge."""
    chance = random.Random(layers)
    names = [f"{PREFIX}embeddings"]
    for layer in range(layers):
        at = f"{PREFIX}encoder.layer.{layer}"
        names += [*(f"{at}.{part}" for part in PARTS), at]
    names.append(f"{PREFIX}LayerNorm")
    first = next((i for i, name in enumerate(names) if fail_at and name.endswith(fail_at)), len(names))
    modules = [_module(name, chance, fails=index >= first, growth=index) for index, name in enumerate(names)]
    failed = first < len(names)
    logits = {"max_abs_diff": 0.0371 if failed else 3.6e-15, "tolerance": 9.9e-9, "passed": not failed}
    return {
        "schema_version": 1,
        "passed": not failed,
        "verdict": "failed" if failed else "passed",
        "reference": "builtin",
        "compute_dtype": "float64",
        "source": {
            "file": "checkpoint_best.pt", "bytes": 4_272_118_913, "container": "zip", "layout": "standard",
            "producer": "DinkyTrain", "dtype": "float32", "sha256": SHA256,
        },
        "target": {
            "model_type": "roberta-prelayernorm", "architectures": ["RobertaPreLayerNormForMaskedLM"],
            "task": "masked-lm", "head": None, "vocab_size": 50270, "extra_rows": 5,
            "files": [{"name": "model.safetensors", "bytes": 1_421_566_112, "sha256": SHA256[::-1]}],
        },
        "checks": [
            {"name": "logits", **logits, "kl_mean": 3.9e-18, "kl_max": 5.4e-16, "top1_agreement": 1.0, "judged": True},
            {"name": "modules", "max_abs_diff": max(m["max_abs_diff"] for m in modules), "tolerance": 4.3e-10,
             "diverging": len(names) - first, "judged": True, "passed": not failed},
            {"name": "tensors", "tensors": 62, "compared_bit_by_bit": 61, "unequal": 0, "problems": 0,
             "judged": True, "passed": True},
            {"name": "tokenizer ids", "tokens": 605, "wrong": 0, "judged": True, "passed": True},
        ],
        "modules": modules,
        "first_divergence": names[first] if failed else None,
        "problems": [],
        "tensors": _tensors(layers),
        "environment": {"python": "3.11.7", "prenorm": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
        "disagreements": [
            f"modules: {names[first]} differs by 3.1e-02, tolerance 4.3e-10",
            "config: layer_norm_eps is 1e-12, must be 1e-05",
        ] if failed else [],
        "divergence": {
            "module": names[first], "rule": "encoder.sentence_encoder.layers.{n}.self_attn.k_proj.{p} -> ...key.{p}",
            "hint": "Query and key have the same shape: were their rules swapped?",
        } if failed else None,
        "noise_floor": {"modules": {m["name"]: 2e-7 * m["range"] for m in modules}, "logits": 3.1e-6},
        "positions": _positions(layers, positions, chance, failed),
        "runtimes": ["bundled", "transformers 5.23.0"],
        "probe": {"rows": 8, "tokens": 1032, "longest": positions},
        "cost_of_type": {"dtype": "float16", "max_abs_diff": 2.1e-3, "kl_mean": 1e-9, "kl_max": 4e-8, "top1_agreement": 1.0},
    }  # fmt: skip


def _module(name: str, chance: random.Random, *, fails: bool, growth: int) -> Report:
    size = chance.uniform(0.4, 5.0)
    error = (3e-2 if fails else 3e-16) * (1 + growth / 10) * chance.uniform(0.4, 1.6)
    return {"name": name, "max_abs_diff": error, "range": size, "tolerance": 1e-9 * size, "passed": not fails}


def _tensors(layers: int) -> list[Report]:
    rows = [
        {
            "source": f"encoder.sentence_encoder.layers.{layer}.{source}.{kind}",
            "target": f"{PREFIX}encoder.layer.{layer}.{target}.{kind}",
            "operation": "copy",
            "reason": "",
            "equal": True,
        }
        for layer in range(layers)
        for target, source in PARTS.items()
        for kind in ("weight", "bias")
    ]
    dropped = {"source": "encoder.sentence_encoder.version", "target": None, "operation": "drop", "equal": None}
    tied = {"source": "encoder.lm_head.weight", "target": None, "operation": "drop", "equal": True}
    return [
        *rows,
        {**tied, "reason": "tied: the same bytes as the word embeddings, which the target shares"},
        {**dropped, "reason": "fairseq's marker of its own state-dict version; not a weight"},
    ]


def _positions(layers: int, positions: int, chance: random.Random, failed: bool) -> Report:
    names = [
        f"{PREFIX}embeddings",
        *(f"{PREFIX}encoder.layer.{n}" for n in range(layers)),
        f"{PREFIX}LayerNorm",
        "logits",
    ]
    rows = []
    for depth in range(len(names)):
        wrong = failed and depth >= len(names) // 2
        size = 2e-2 if wrong else 2e-16
        row = [size * (1 + depth) * chance.uniform(0.2, 2.0) for _ in range(positions)]
        rows.append([0.0 if depth == 0 and at % 3 == 0 else value for at, value in enumerate(row)])
    return {"modules": names, "max_abs_diff": rows}


def render(report: Report, suffix: str) -> str:
    """The form of a stored report: read, and rendered."""
    return reports.render(reports.read(report), suffix)


OPTIONAL = ("disagreements", "divergence", "noise_floor", "positions", "runtimes", "probe", "cost_of_type")


def bare(report: Report) -> Report:
    """Without the optional keys."""
    return {key: copy.deepcopy(value) for key, value in report.items() if key not in OPTIONAL}


HOSTILE_TEXTS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</table></details><h1>passed</h1>",
    "]]><evil/>",
    "<!--",
    "a | b | ✅ passed |\n# ✅ Parity passed",
    "`code` ``` ~~~ [x](javascript:alert(1)) ![x](http://evil.example/x.png)",
    "\x00\x07\x1b[31m\x7f\x85\r\n\t",
    "\ud800 \udfff",
    "\u202edessap\u202c \u2066\u200b\ufeff",
    "\ufffe\uffff",
    "$\\frac{1}{0}$ ${evil} {{7*7}}",
    "$\\evil$",
    "` ![x](http://evil.example/x.png) <b>`",
    "k" * 10_000,
    "模型🙂" * 50,
    "",
)  # fmt: skip


def hostile() -> Report:
    """Every text a hostile one in turn, every number NaN, infinite, zero or huge; structure as it should be."""
    report = synthetic(3, fail_at="layer.1.attention.self.key", positions=7)
    texts, numbers = _cycle(HOSTILE_TEXTS), _cycle((math.nan, math.inf, -math.inf, 0.0, 1e308, 5e-324, -1.0, 10**400))
    spoiled: Report = _spoil(report, texts, numbers)
    spoiled |= {"schema_version": 1, "passed": False, "verdict": "failed"}
    return spoiled


def _cycle(values: tuple[Any, ...]) -> Any:
    while True:
        yield from values


def _spoil(value: Any, texts: Any, numbers: Any) -> Any:
    if isinstance(value, dict):
        shown = {"source", "target", "environment", "probe"}
        return {
            key: {next(texts) + str(i): _spoil(v, texts, numbers) for i, v in enumerate(item.values())}
            if key in shown and isinstance(item, dict)
            else _spoil(item, texts, numbers)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_spoil(item, texts, numbers) for item in value]
    if isinstance(value, str):
        return next(texts)
    return next(numbers) if isinstance(value, int | float) and not isinstance(value, bool) else value
