"""The exported model in onnxruntime against torch: the browser runs the same files."""

import json
import random

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from helpers import CourseError
from helpers.resources import data_files, load_model, load_tokenizer

export = pytest.importorskip("helpers.export", reason="the packages of .[site] are not installed")


def course_sentences(count: int) -> list[str]:
    """Sentences of the course's own documents, drawn with a fixed seed."""
    lines = [
        line.strip()
        for path in data_files("korean-documents")
        for line in path.read_text(encoding="utf-8").splitlines()
        if 20 < len(line) < 120
    ]
    return random.Random(0).sample(lines, count)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """mini-bert-ko exported: (folder, rows of ids with one mask, torch's logits at the mask)."""
    folder = tmp_path_factory.mktemp("export") / "mini-bert-ko"
    export.export("mini-bert-ko", folder)
    model, tokenizer = load_model(BertForMaskedLM, "mini-bert-ko"), load_tokenizer("mini-bert-ko")
    rng, rows, logits = random.Random(1), [], []
    for sentence in course_sentences(200):
        ids = tokenizer(sentence)["input_ids"]
        ids[rng.randrange(1, len(ids) - 1)] = tokenizer.mask_token_id
        rows.append(ids)
        with torch.inference_mode():
            output = model(input_ids=torch.tensor([ids])).logits[0]
        logits.append(output[ids.index(tokenizer.mask_token_id)].numpy())
    return folder, rows, np.stack(logits)


def at_the_masks(folder, precision: str, rows: list[list[int]]) -> np.ndarray:
    session = export.open_session(folder / export.FILES[precision])
    return np.stack([run(session, ids)[0, ids.index(4)] for ids in rows])


def run(session, ids: list[int]) -> np.ndarray:
    ids = np.array([ids])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": 0 * ids}
    return session.run(None, feed)[0]


def best_five(logits: np.ndarray) -> np.ndarray:
    return np.argsort(-logits, axis=1, kind="stable")[:, :5]


def test_fp32_agrees_with_torch_to_one_in_ten_thousand(masked):
    folder, rows, expected = masked
    found = at_the_masks(folder, "fp32", rows)
    assert np.abs(found - expected).max() < 1e-4
    assert (best_five(found) == best_five(expected)).all()


def test_int8_gives_the_same_five_best_except_where_two_are_all_but_equal(masked):
    folder, rows, expected = masked
    found = at_the_masks(folder, "int8", rows)
    same = 0
    for row, mine, theirs in zip(expected, best_five(found), best_five(expected), strict=True):
        lost, won = set(theirs) - set(mine), set(mine) - set(theirs)
        same += not lost
        if lost:  # logits: a difference of 0.15 is a probability 16 % higher, 0.040 against 0.034
            assert max(row[list(lost)]) - min(row[list(won)]) < 0.15
    assert same >= 180, f"the same five in {same} of 200 sentences"
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= 0.96


def test_int8_is_torch_with_rounded_weights(masked):
    folder, rows, _ = masked
    rounded = export.round_weights(load_model(BertForMaskedLM, "mini-bert-ko"))
    session = export.open_session(folder / export.FILES["int8"])
    for ids in rows[:20]:
        with torch.inference_mode():
            expected = rounded(input_ids=torch.tensor([ids])).logits[0].numpy()
        assert np.abs(run(session, ids)[0] - expected).max() < 1e-4


def test_int8_is_a_quarter_of_fp32_and_the_embedding_is_stored_once(masked):
    folder, _, _ = masked
    full, small = ((folder / export.FILES[p]).stat().st_size for p in ("fp32", "int8"))
    model = load_model(BertForMaskedLM, "mini-bert-ko")
    parameters = sum(
        parameter.numel() for parameter in model.parameters()
    )  # a tied one counts once
    assert full < 4.05 * parameters
    assert small < 0.28 * full


def test_sentence_vectors_agree(tmp_path):
    export.export("mini-sentence-ko", tmp_path)
    model = load_model(BertModel, "mini-sentence-ko")
    tokenizer = load_tokenizer("mini-sentence-ko")
    for precision, least in (("fp32", 1 - 1e-6), ("int8", 0.999)):
        session = export.open_session(tmp_path / export.FILES[precision])
        for sentence in course_sentences(40):
            ids = tokenizer(sentence)["input_ids"]
            with torch.inference_mode():
                expected = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
            found = run(session, ids)[0].mean(0)
            cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
            assert cosine > least, f"{precision}: {sentence}"


def test_batches_of_any_size_and_length_and_padding_changes_nothing(masked):
    folder, rows, _ = masked
    session = export.open_session(folder / export.FILES["fp32"])
    short, long = sorted(rows, key=len)[0], sorted(rows, key=len)[-1]
    padded = [short + [0] * (len(long) - len(short)), long]
    mask = [[1] * len(short) + [0] * (len(long) - len(short)), [1] * len(long)]
    feed = {"input_ids": np.array(padded), "attention_mask": np.array(mask)}
    feed["token_type_ids"] = np.zeros_like(feed["input_ids"])
    together = session.run(None, feed)[0]
    assert np.abs(together[0, : len(short)] - run(session, short)[0]).max() < 1e-3
    assert np.abs(together[1] - run(session, long)[0]).max() < 1e-3


def test_what_transformers_js_reads_is_there(masked):
    folder, _, _ = masked
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "bert"
    assert settings["tokenizer_class"].startswith("BertTokenizer")
    assert not settings["do_lower_case"]
    assert json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    tokenizer = load_tokenizer(folder)
    assert tokenizer("이순신은 조선 중기의 무신이다.") == load_tokenizer("mini-bert-ko")(
        "이순신은 조선 중기의 무신이다."
    )


SMALL = dict(
    vocab_size=16_000,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=128,
    pad_token_id=0,
)


def save(model, folder):
    model.save_pretrained(folder)
    load_tokenizer("mini-bert-ko").save_pretrained(folder)
    return folder


def test_a_model_without_token_types_is_exported_too(tmp_path):
    torch.manual_seed(0)
    model = RobertaForMaskedLM(RobertaConfig(**SMALL, max_position_embeddings=70)).eval()
    export.export(save(model, tmp_path / "roberta"), tmp_path / "out")
    session = export.open_session(tmp_path / "out" / export.FILES["fp32"])
    ids = np.array([[2, 40, 50, 3]])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feed |= {i.name: 0 * ids for i in session.get_inputs() if i.name == "token_type_ids"}
    with torch.inference_mode():
        expected = model(input_ids=torch.from_numpy(ids)).logits.numpy()
    assert np.abs(session.run(None, feed)[0] - expected).max() < 1e-4


def test_another_head_is_refused(tmp_path):
    folder = save(BertForSequenceClassification(BertConfig(**SMALL)), tmp_path / "classifier")
    with pytest.raises(CourseError, match="BertForSequenceClassification"):
        export.export(folder, tmp_path / "out")


def test_an_output_that_is_a_file_is_one_sentence(tmp_path):
    folder = save(BertModel(BertConfig(**SMALL)), tmp_path / "encoder")
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="폴더를 만들 수 없습니다"):
        export.export(folder, tmp_path / "file")


def test_a_graph_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    folder = save(BertModel(BertConfig(**SMALL)), tmp_path / "encoder")
    honest = export.quantize_weights

    def broken(graph):
        graph = honest(graph)
        for weight in graph.graph.initializer:
            if weight.name.endswith("_int8"):
                weight.raw_data = weight.raw_data[::-1]
        return graph

    monkeypatch.setattr(export, "quantize_weights", broken)
    with pytest.raises(CourseError, match="int8"):
        export.export(folder, tmp_path / "out")


def test_the_command_writes_the_files_and_says_how_large_they_are(tmp_path, capsys, monkeypatch):
    from helpers import __main__ as command

    folder = save(BertModel(BertConfig(**SMALL)), tmp_path / "encoder")
    arguments = ["helpers", "export", str(folder), "--output", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", arguments)
    assert command.main() == 0
    shown = capsys.readouterr().out
    for file in ("config.json", "tokenizer.json", *export.FILES.values()):
        assert (tmp_path / "out" / file).exists()
        assert file in shown.replace("\\", "/")
    monkeypatch.setattr("sys.argv", ["helpers", "export", "no-such-model", "--output", "out"])
    assert command.main() == 2
    assert "no-such-model" in capsys.readouterr().err


def test_zero_weights_are_kept_and_rounding_is_half_a_step():
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(3, 128)).astype(np.float32)
    weights[1] = 0
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])],
        "one",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 128])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", export.OPSET)])
    model.ir_version = 10
    small = export.quantize_weights(model)
    session = export.onnxruntime.InferenceSession(small.SerializeToString())
    (found,) = session.run(None, {})
    blocks = np.abs(weights.reshape(3, 2, 64)).max(2, keepdims=True)
    assert (np.abs(found - weights).reshape(3, 2, 64) <= blocks / 254 * 1.001 + 1e-12).all()
    assert (found[1] == 0).all()
