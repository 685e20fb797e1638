"""AdamW for everything, or Muon for the encoder's matrices and AdamW for the rest."""

import torch


class Together(torch.optim.Optimizer):
    """Several optimizers, of different parameters, that look like one to the Trainer."""

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


def muon(model, learning_rate: float) -> Together:
    """Muon for the matrices of the encoder's layers, AdamW for everything else.

    Muon's step is scaled to the size of AdamW's, so that one learning rate serves both.
    Sources: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; Liu et al. 2025, "Muon
    is Scalable for LLM Training".
    """
    matrices = [p for name, p in model.named_parameters() if ".encoder." in name and p.ndim == 2]
    known = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in known]
    return Together(
        torch.optim.Muon(
            matrices,
            lr=learning_rate,
            momentum=0.95,
            weight_decay=0.01,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    )
