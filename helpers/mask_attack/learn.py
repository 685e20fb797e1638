"""Learning a text with secrets in it: plainly, or privately (DP-SGD)."""

import math
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertForMaskedLM, DataCollatorForLanguageModeling

from helpers.architectures import mask_scores, set_fast_attention
from helpers.course import bf16_supported, keep_memory
from helpers.resources import load_model

BATCH, RATE, CLIP = 16, 1e-3, 1.0
MAX_LENGTH = 48
ORDERS = [1 + 10 ** (power / 10) for power in range(-60, 21)]  # of the accountant, 1 to 101


def learn(
    base: str | Path,
    tokenizer: Any,
    sentences: Sequence[str],
    *,
    passes: float,
    way: Callable | None = None,
    watch: Callable[[Any, int], None] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[Any, int]:
    """Continue to pretrain the encoder's layers on sentences, embeddings frozen: model, steps.

    Conditions that make memorising easy: a large learning rate, no dropout. `way` changes what is
    done with a batch's losses (see `plain` and `clipped`); `watch(model, step)` is called after
    each quarter of the steps. `plain` computes in bf16 where the processor has it.
    """
    keep_memory()
    way = way or plain
    short = way is plain and bf16_supported(device)
    torch.manual_seed(seed)
    order = random.Random(seed)
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3)
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    learner = load_model(BertForMaskedLM, base, **no_dropout).to(device).train()
    set_fast_attention(learner, device)
    learner.requires_grad_(False)
    learner.base_model.encoder.requires_grad_(True)
    optimizer = torch.optim.AdamW(learner.base_model.encoder.parameters(), lr=RATE)
    optimizer, backward, finish = way(learner, optimizer)
    rows = tokenizer(list(sentences), truncation=True, max_length=MAX_LENGTH)["input_ids"]
    steps = max(1, int(passes * len(rows) / BATCH))
    waiting: list = []
    for step in range(1, steps + 1):
        while len(waiting) < BATCH:
            waiting += order.sample(rows, len(rows))
        batch = collator([{"input_ids": waiting.pop()} for _ in range(BATCH)]).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=short):
            losses = losses_by_sentence(learner, batch)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, 10 * step / steps) * (1 - (step - 1) / steps)
        backward(losses)
        optimizer.step()
        optimizer.zero_grad()
        if watch and step in {max(1, steps * part // 4) for part in (1, 2, 3, 4)}:
            watch(learner, step)
    finish()
    return learner.eval(), steps


def losses_by_sentence(learner: Any, batch: Any) -> torch.Tensor:
    """Mean loss over each sentence's masked tokens: [sentences]; 0 where none is masked."""
    masked = batch["labels"] != -100
    hidden = learner.base_model(batch["input_ids"], attention_mask=batch["attention_mask"])
    logits = mask_scores(learner, hidden.last_hidden_state[masked]).float()
    losses = torch.nn.functional.cross_entropy(logits, batch["labels"][masked], reduction="none")
    owner = masked.nonzero()[:, 0]
    sums = torch.zeros(len(masked), device=losses.device).index_add(0, owner, losses)
    return sums / masked.sum(1).clamp(min=1)


def plain(learner: Any, optimizer: Any) -> tuple[Any, Callable, Callable]:
    """The gradient as it is: optimizer, what to do with the losses, what to do at the end."""
    return optimizer, lambda losses: losses.mean().backward(), lambda: None


def clipped(noise: float, clip: float = CLIP) -> Callable:
    """DP-SGD: each sentence's gradient is cut to the norm `clip`, `noise` * `clip` is the standard
    deviation of what is added to each number of their sum; noise 0 only cuts.

    The norms come from Opacus without keeping a gradient a sentence (ghost clipping).
    Source: Abadi et al. 2016, "Deep Learning with Differential Privacy".
    """
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping

    def way(learner: Any, optimizer: Any) -> tuple[Any, Callable, Callable]:
        warnings.filterwarnings("ignore", message="Full backward hook")  # frozen embeddings
        hooks = GradSampleModuleFastGradientClipping(learner, max_grad_norm=clip)
        optimizer = DPOptimizerFastGradientClipping(
            optimizer, noise_multiplier=noise, max_grad_norm=clip, expected_batch_size=BATCH
        )

        def backward(losses: torch.Tensor) -> None:
            DPTensorFastGradientClipping(hooks, optimizer, losses).backward()

        return optimizer, backward, hooks.to_standard_module

    return way


def epsilon_of(noise: float, steps: int, sentences: int, delta: float) -> float:
    """The privacy budget that so many steps of so many sentences spend; infinite without noise.

    delta should be much smaller than 1 / sentences: with 1 / n, giving one sentence away whole
    would be allowed.
    """
    from opacus.accountants import RDPAccountant

    if not noise:
        return math.inf
    accountant = RDPAccountant()
    for _ in range(steps):
        accountant.step(noise_multiplier=noise, sample_rate=min(1, BATCH / sentences))
    return accountant.get_epsilon(delta=delta, alphas=ORDERS)
