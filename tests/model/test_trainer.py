"""Training in other people's hands: transformers' `Trainer`, accelerate, peft, and two processes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import torch.distributed.fsdp
from accelerate import Accelerator
from torch import multiprocessing
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainingArguments
from transformers.models.roberta_prelayernorm import modeling_roberta_prelayernorm

from helpers import two_processes
from helpers.model_pairs import NAMES, SMALL, apart, inputs_for, labels_for, pair

pytestmark = pytest.mark.slow

QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
MASKED, CAUSAL = "RobertaPreLayerNormForMaskedLM", "RobertaPreLayerNormForCausalLM"
SEQUENCE = "RobertaPreLayerNormForSequenceClassification"


class Texts(Dataset[dict[str, torch.Tensor]]):
    """Sixteen texts for a class, of different numbers of labels where each token has one."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __len__(self) -> int:
        return 16

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        ids = torch.randint(3, SMALL["vocab_size"], (12,), generator=torch.Generator().manual_seed(number))
        labels = torch.where(ids % 3 == 0, ids, -100) if self.name != SEQUENCE else ids[0] % 3
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def trainer(net: Any, name: str, folder: Path, **changes: Any) -> Trainer:
    options = {
        "max_steps": 4, "per_device_train_batch_size": 4, "logging_steps": 1, "save_steps": 2, "eval_strategy": "steps",
        "eval_steps": 2, "report_to": [], "use_cpu": True, "disable_tqdm": True, "learning_rate": 1e-3, **changes,
    }  # fmt: skip
    return Trainer(net, TrainingArguments(str(folder), **options), train_dataset=Texts(name), eval_dataset=Texts(name))


def logged(run: Trainer) -> list[float]:
    """Every loss, of training and evaluation, and every norm of the gradients, in order."""
    names = ("loss", "grad_norm", "eval_loss")
    return [float(line[name]) for line in run.state.log_history for name in names if name in line]


@pytest.mark.parametrize(
    ("name", "changes"),
    [(MASKED, {}), (CAUSAL, {"gradient_accumulation_steps": 2}), (SEQUENCE, {"activation_checkpointing": True})],
)
def test_trainer_computes_what_it_computes_of_transformers_model(
    name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    ours, theirs = pair(name, torch.float32, **QUIET)
    runs = [trainer(net, name, tmp_path / str(number), **changes) for number, net in enumerate((ours, theirs))]
    for run in runs:
        run.train()
    mine, other = (logged(run) for run in runs)
    assert len(mine) == 10
    assert mine == pytest.approx(other, rel=1e-5)
    others = dict(theirs.named_parameters())
    for key, item in ours.named_parameters():
        if not key.endswith("key.bias"):  # whose gradient is zero but for rounding, which Adam makes a whole step of
            assert apart(item, others[key]) < 1e-4, key
    assert ours.is_gradient_checkpointing == bool(changes.get("activation_checkpointing"))
    scores = runs[0].predict(Texts(name)).predictions
    assert apart(torch.tensor(scores), torch.tensor(runs[1].predict(Texts(name)).predictions)) < 1e-3


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """With dropout, so that the generators' states matter; with tied weights, which safetensors refuses as they are."""
    first, _ = pair(MASKED, torch.float32)
    again = copy.deepcopy(first)
    whole = trainer(first, MASKED, tmp_path / "whole")
    whole.train()
    resumed = trainer(again, MASKED, tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert logged(resumed) == logged(whole)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert again.lm_head.decoder.weight is again.get_input_embeddings().weight
    loaded = type(first).from_pretrained(tmp_path / "whole" / "checkpoint-4", config=first.config)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), loaded.parameters(), strict=True))


def test_trainer_trains_our_tensors_in_transformers_model_and_saves_whole_folders(tmp_path: Path) -> None:
    net, _ = pair(MASKED, torch.float32)
    before = net.lm_head.dense.weight.detach().clone()
    trainer(net.to_transformers(), MASKED, tmp_path).train()
    assert apart(net.lm_head.dense.weight, before) > 0
    loaded = type(net).from_pretrained(tmp_path / "checkpoint-4")
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), net.parameters(), strict=True))


def test_gradients_of_batches_add_up_to_the_mean(tmp_path: Path) -> None:
    """transformers' masked LM takes `num_items_in_batch`, does not divide by it, and trains on their sum."""
    losses = []
    for batches in (1, 2):
        ours, _ = pair(SEQUENCE, torch.float32, **QUIET)
        options = {"gradient_accumulation_steps": batches, "per_device_train_batch_size": 4 // batches, "max_steps": 2}
        run = trainer(ours, SEQUENCE, tmp_path / str(batches), **options)
        run.train()
        losses.append(logged(run))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_losses_honour_what_transformers_does() -> None:
    inputs, labels = {"input_ids": inputs_for(CAUSAL)["input_ids"]}, labels_for(CAUSAL)["labels"]
    ours, theirs = pair(CAUSAL, torch.float32)
    for options in (
        {"num_items_in_batch": torch.tensor(7)},
        {"num_items_in_batch": 7},
        {"shift_labels": labels.flip(0)},
    ):
        mine, other = (net(**inputs, labels=labels, **options).loss for net in (ours, theirs))
        assert float(mine) == pytest.approx(float(other), rel=1e-5)
        assert float(mine) != pytest.approx(float(ours(**inputs, labels=labels).loss), rel=1e-3)
    ours, theirs = pair(SEQUENCE, torch.float32, num_labels=1)
    for integers in (torch.tensor([1, 0, 2]), torch.tensor([[1], [0], [2]])):
        mine, other = (net(**inputs_for(SEQUENCE), labels=integers).loss for net in (ours, theirs))
        assert float(mine) == pytest.approx(float(other), rel=1e-6)


@pytest.mark.parametrize("name", NAMES[1:])
def test_labels_that_are_all_ignored_train_nothing(name: str) -> None:
    labels = {key: torch.full_like(item, -100 if key == "labels" else 99) for key, item in labels_for(name).items()}
    results = []
    for net in pair(name):
        loss = net(**inputs_for(name), **labels).loss
        loss.backward()
        results.append((loss, {key: item.grad for key, item in net.named_parameters()}))
    (mine, grads), (other, expected) = results
    assert bool(mine.isnan())
    assert bool(other.isnan())
    assert all(apart(grads[key], item) == 0 for key, item in expected.items() if item is not None)


REENTRANT = {"gradient_checkpointing_kwargs": {"use_reentrant": True}}


@pytest.mark.parametrize(
    ("name", "options"),
    [(CAUSAL, {"every_n_layers": 2}), (CAUSAL, {"offload": True}), (CAUSAL, REENTRANT), (SEQUENCE, REENTRANT)],
)
def test_every_kind_of_checkpointing_changes_no_gradient(name: str, options: dict[str, Any]) -> None:
    """Layers behind frozen embeddings get gradients too, and whatever computed the encoder's states that they look at."""
    gradients = []
    for on in (False, True):
        net, _ = pair(name, add_cross_attention=name == CAUSAL, **QUIET)
        net.base_model.embeddings.requires_grad_(False)
        source = torch.randn(3, 5, SMALL["hidden_size"], generator=torch.Generator().manual_seed(1)).double()
        source.requires_grad_(name == CAUSAL)
        states = {"encoder_hidden_states": source.exp()} if name == CAUSAL else {}
        if on:
            net.gradient_checkpointing_enable(**options)
        net.train()(**inputs_for(name), **labels_for(name), **states).loss.backward()
        gradients.append([source.grad, *(item.grad for item in net.parameters())])
    assert sum(item is not None for item in gradients[0]) > 30
    for left, right in zip(*gradients, strict=True):
        assert (left is None) == (right is None)
        assert left is None or apart(left, right) < 1e-12


def test_checkpointing_runs_layers_again() -> None:
    net, _ = pair(MASKED, **QUIET)
    runs: list[int] = []
    for number, layer in enumerate(net.base_model.encoder.layer):
        layer.register_forward_pre_hook(lambda *_, number=number: runs.append(number))
    for every, expected in ((1, [0, 1, 1, 0]), (2, [0, 1, 0])):
        runs.clear()
        net.activation_checkpointing_enable(every_n_layers=every)
        net.train()(**inputs_for(MASKED), **labels_for(MASKED)).loss.backward()
        assert runs == expected
    net.activation_checkpointing_disable()
    assert not net.is_activation_checkpointing
    with pytest.raises(ValueError, match="every_n_layers is 0"):
        net.gradient_checkpointing_enable(every_n_layers=0)


def test_two_processes_compute_the_gradients_of_one(tmp_path: Path) -> None:
    """Data parallel, and sharded with FSDP2: losses, gradients, and what a step makes of the weights."""
    # Both are forked from a process that has imported what takes long.
    multiprocessing.set_forkserver_preload([torch.distributed.fsdp.__name__, modeling_roberta_prelayernorm.__name__])
    arguments = (tmp_path, ("ddp", "fsdp2"), (MASKED, CAUSAL))
    multiprocessing.start_processes(two_processes.train, arguments, nprocs=2, start_method="forkserver")


def test_accelerate_trains_saves_and_loads(tmp_path: Path) -> None:
    nets = [*pair(MASKED, torch.float32, **QUIET)]
    losses: list[list[float]] = []
    for number, net in enumerate(nets):
        accelerator = Accelerator(cpu=True)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
        prepared, optimizer, loader = accelerator.prepare(net, optimizer, DataLoader(Texts(MASKED), batch_size=8))
        losses.append([])
        for item in loader:
            loss = prepared(**item).loss
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            losses[-1].append(float(loss.detach()))
        accelerator.save_state(str(tmp_path / str(number)))
        kept = {key: value.clone() for key, value in net.state_dict().items()}
        torch.nn.init.zeros_(net.lm_head.bias)
        accelerator.load_state(str(tmp_path / str(number)))
        assert all(torch.equal(value, kept[key]) for key, value in net.state_dict().items())
        accelerator.save_model(prepared, str(tmp_path / f"model-{number}"))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    loaded = type(nets[0]).from_pretrained(tmp_path / "model-0", config=nets[0].config)
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), loaded.parameters(), strict=True))


@pytest.mark.parametrize("name", [SEQUENCE, CAUSAL])
def test_lora_trains_as_on_transformers_model(name: str, tmp_path: Path) -> None:
    task = "SEQ_CLS" if name == SEQUENCE else "CAUSAL_LM"
    results = []
    for number, net in enumerate(pair(name, **QUIET)):
        plain = copy.deepcopy(net)
        torch.manual_seed(5)
        config = peft.LoraConfig(task_type=task, r=4, target_modules=["query", "value"], init_lora_weights=False)
        adapted = peft.get_peft_model(net, config)
        adapted.gradient_checkpointing_enable()
        loss = adapted.train()(**inputs_for(name), **labels_for(name)).loss
        loss.backward()
        gradients = {key: item.grad for key, item in adapted.named_parameters() if item.requires_grad}
        adapted.save_pretrained(tmp_path / str(number))
        scores = adapted.eval()(**inputs_for(name)).logits
        again = peft.PeftModel.from_pretrained(plain, tmp_path / "0").eval()
        assert apart(again(**inputs_for(name)).logits, scores) < 1e-12
        assert apart(adapted.merge_and_unload()(**inputs_for(name)).logits, scores) < 1e-10
        results.append((loss, gradients))
    (mine, grads), (other, expected) = results
    assert abs(float(mine) - float(other)) < 1e-5  # transformers rounds the causal LM's logits to float32
    assert grads.keys() == expected.keys()
    assert all(apart(grads[key], expected[key]) < 1e-6 for key in grads)


def test_adapters_get_the_arguments_of_the_next_forward() -> None:
    net, _ = pair(CAUSAL)
    adapted = peft.get_peft_model(net, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["query"]))
    ids = inputs_for(CAUSAL)["input_ids"][:1]
    with torch.no_grad():
        cache = net(ids[:, :5]).past_key_values
        step = adapted.prepare_inputs_for_generation(ids[:, :6], past_key_values=cache)
        assert apart(net(**step).logits, net(ids[:, :6]).logits[:, 5:]) < 1e-12
        assert torch.equal(adapted.generate(input_ids=ids, max_new_tokens=3), net.generate(ids, max_new_tokens=3))
