"""The lessons with a learner's RoBERTa and ELECTRA in place of the course's BERT: no cell fails."""

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from transformers import ElectraConfig, ElectraForMaskedLM, RobertaConfig, RobertaForMaskedLM

from helpers import ROOT
from helpers.resources import load_tokenizer

SIZES = {"hidden_size": 32, "intermediate_size": 64}
SIZES |= {"num_hidden_layers": 2, "num_attention_heads": 2}
FAMILIES = {  # as klue/roberta-small and koelectra-small-generator, but for the numbers
    "roberta": (RobertaForMaskedLM, RobertaConfig, {"max_position_embeddings": 514}),
    "electra": (ElectraForMaskedLM, ElectraConfig, {"embedding_size": 16}),
}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    """The folder of a random model with the embedded model's tokenizer."""
    folder, tokenizer = tmp_path_factory.mktemp(request.param), load_tokenizer("mini-bert-ko")
    cls, config, changes = FAMILIES[request.param]
    changes = {**SIZES, **changes, "type_vocab_size": 2 if request.param == "electra" else 1}
    torch.manual_seed(0)
    net = cls(config(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **changes))
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("lesson", ["03", "05", "06"])
def test_lesson_runs_with_another_family(lesson, model, monkeypatch):
    (path,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    (start,) = (cell for cell in notebook.cells if "course = start(" in cell.source)
    start.source += (
        f"\nfrom dataclasses import replace\ncourse = replace(course, model={str(model)!r})"
    )
    monkeypatch.setenv("COURSE_PROFILE", "ci")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, kernel_name="python3", timeout=300, resources=resources).execute()
