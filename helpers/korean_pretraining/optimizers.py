"""AdamW for all, or Muon for the matrices of the encoder's layers and AdamW for the rest."""

import torch

WEIGHT_DECAY, BETA2 = 0.01, 0.98


class Together(torch.optim.Optimizer):
    """Optimizers of different parameters that step together and look like one to the Trainer."""

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    def step(self, closure=None) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def muon(model: torch.nn.Module, learning_rate: float) -> Together:
    """Muon for the encoder's matrices; embeddings, heads, biases and LayerNorms keep to AdamW.

    Muon's step is scaled to the size of AdamW's, so that one learning rate serves both.
    Sources: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; Liu et al. 2025, "Muon
    is Scalable for LLM Training".
    """
    named = list(model.named_parameters())
    matrices = [p for name, p in named if ".encoder." in name and p.ndim == 2]
    known = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in known]
    common = {"lr": learning_rate, "weight_decay": WEIGHT_DECAY}
    return Together(
        torch.optim.Muon(matrices, momentum=0.95, adjust_lr_fn="match_rms_adamw", **common),
        torch.optim.AdamW(rest, betas=(0.9, BETA2), fused=True, **common),
    )
