"""The Korean models that learners bring, as tiny random copies, in lessons and `evaluate`."""

import json
import sys

import foreign_models
import numpy as np
import pytest
import torch
from foreign_models import LAYOUTS, TEXTS
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    ElectraConfig,
    RobertaConfig,
)

from helpers import CourseError, architectures
from helpers.__main__ import main
from helpers.entity_bert import pretraining
from helpers.entity_bert.model import EntityBert
from helpers.entity_bert.spans import make_example
from helpers.entity_bert.train import RelationExtractor, Settings, predict, train
from helpers.finetuning.evaluate import TASKS
from helpers.finetuning.train import FineTuned
from helpers.korean_pretraining.train import initial_model
from helpers.resources import load_config, load_model, load_tokenizer
from helpers.similarity_chatbot import SimilarityChatbot, load_sentence_encoder

BEYOND = "가나다 " * 600  # more tokens than any of the models has positions


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    return {name: make(parent / name) for name, make in LAYOUTS.items()}


@pytest.fixture(params=LAYOUTS)
def model(request, folders):
    return folders[request.param]


@pytest.fixture
def command(monkeypatch, capsys):
    """command("evaluate", "finetuning", ...) -> (exit code, rows of JSON, what stood on stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["helpers", *map(str, arguments)])
        monkeypatch.setenv("COURSE_PROFILE", "ci")
        code = main()
        written = capsys.readouterr()
        return code, [json.loads(line) for line in written.out.splitlines()], written.err

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Small files in the formats of all `evaluate` commands; some texts are too long."""
    folder = tmp_path_factory.mktemp("files")
    good, bad, birth, market, who = TEXTS[3:]
    long = good + BEYOND
    subject, object = (birth.index(word) for word in ("이순신", "1545"))
    relations = [
        {**make_example(birth + tail, (subject, subject + 2), (object, object + 3)), "label": label}
        for tail, label in (("", "per:date_of_birth"), (BEYOND, "no_relation")) * 2
    ]
    for relation in relations:
        relation["subject_entity"]["type"], relation["object_entity"]["type"] = "PER", "DAT"
    tags = ["B-PS", "I-PS", "I-PS", *["O"] * (len(birth) - 3)]
    entry = {"question": who, "id": "1", "answers": [{"text": "한성", "answer_start": 13}]}
    passage = {"context": birth + BEYOND, "qas": [entry]}
    texts = {
        "reviews.tsv": f"text\tlabel\n{good}\t1\n{bad}\t0\n{good}\t1\n{bad}\t0\n \t1\n\t0\n",
        "sentences.txt": "\n".join([*TEXTS, long]) + "\n",
        "questions.tsv": f"id\tquestion\na\t{good}\nb\t{birth}\nc\t{long}\n",
        "queries.tsv": f"query\tid\n{good}\ta\n{birth}\tb\n",
        "relations.json": json.dumps(relations),
        "pairs.tsv": f"sentence1\tsentence2\tscore\n{good}\t{bad}\t1\n{market}\t{good}\t3\n",
        "entities.tsv": "".join(f"{c}\t{t}\n" for c, t in zip(birth, tags, strict=True)) + "\n",
        "reading.json": json.dumps({"data": [{"title": "", "paragraphs": [passage]}]}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


# --- loading -------------------------------------------------------------------------------------


def test_hangul_stays_whole(model):
    tokenizer = load_tokenizer(model)
    assert tokenizer.tokenize("한국에서 A") == ["한국", "##에서", "A"]
    assert tokenizer.unk_token_id not in tokenizer(list(TEXTS))["input_ids"][0]


@pytest.mark.parametrize("cls", [BertModel, BertForSequenceClassification, EntityBert])
def test_the_encoder_has_the_weights_of_the_file(model, cls):
    prefix = load_config(model).model_type
    written = load_file(model / "model.safetensors")
    loaded = load_model(cls, model).base_model.state_dict()
    ours = {name: value for name, value in loaded.items() if not name.startswith("pooler.")}
    theirs = {n.removeprefix(f"{prefix}."): v for n, v in written.items() if n.startswith(prefix)}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_plain_entity_bert_computes_what_the_encoder_computes(model):
    tokenizer, bare = load_tokenizer(model), load_model(AutoModel, model)
    net = load_model(EntityBert, model, entity_variant="entity_embedding", num_labels=2)
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    batch["token_type_ids"] = torch.zeros_like(batch["input_ids"])
    seen = {}
    net.base_model.register_forward_hook(lambda *call: seen.update(hidden=call[-1][0]))
    zeros = torch.zeros_like(batch["input_ids"])
    net(**batch, entity_ids=zeros + 1, spans=torch.tensor([[[1, 2], [2, 3]]] * len(TEXTS)))
    inside = batch["attention_mask"].bool()
    expected = bare(**batch).last_hidden_state
    torch.testing.assert_close(seen["hidden"][inside], expected[inside], atol=1e-5, rtol=0)


def test_a_pair_of_texts_is_read(model):
    batch = load_tokenizer(model)(*TEXTS[:2], return_tensors="pt")
    net = load_model(BertForSequenceClassification, model)
    assert net(**batch).logits.isfinite().all()
    usual = BertTokenizer.from_pretrained(model, do_lower_case=False)(*TEXTS[:2])
    assert batch["input_ids"][0].tolist() == usual["input_ids"]
    if net.config.type_vocab_size > 1:
        assert batch["token_type_ids"][0].tolist() == usual["token_type_ids"]


def test_a_tokenizer_of_a_model_without_token_types(folders, tmp_path):
    """DistilBERT's config does not count them."""
    (tmp_path / "vocab.txt").write_bytes((folders["kr-bert"] / "vocab.txt").read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "distilbert"}')
    assert load_tokenizer(tmp_path)(TEXTS[0])["input_ids"]


def test_positions_of_each_family():
    assert architectures.max_tokens(BertConfig(max_position_embeddings=300)) == 300
    assert architectures.max_tokens(ElectraConfig()) == 512
    assert architectures.max_tokens(RobertaConfig(max_position_embeddings=514)) == 512


def test_a_tokenizer_that_breaks_hangul_is_told_apart_from_a_wrong_vocabulary(folders, tmp_path):
    settings = {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}
    vocab = (folders["kr-bert"] / "vocab.txt").read_bytes()
    (tmp_path / "vocab.txt").write_bytes(vocab)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CourseError, match='자모.*"do_lower_case": false'):
        load_tokenizer(tmp_path)


def test_kobert_is_refused_and_its_code_not_run(tmp_path, command, files):
    folder = foreign_models.kobert(tmp_path / "kobert")
    for trace in ("*.model", "vocab.txt"):  # each of them alone tells what it is
        with pytest.raises(CourseError, match="SentencePiece"):
            load_tokenizer(folder)
        code, rows, error = command(
            "evaluate", "korean_pretraining", "--model", folder, "--text", files / "sentences.txt"
        )
        assert code == 2 and not rows and "SentencePiece" in error.splitlines()[-1]
        next(folder.glob(trace)).rename(tmp_path / f"away{len(trace)}")
    (folder / "vocab.txt").write_bytes(
        (LAYOUTS["kcbert"](tmp_path / "kc") / "vocab.txt").read_bytes()
    )
    with pytest.raises(CourseError, match="코드는 실행하지 않으므로"):
        load_tokenizer(folder)
    assert not (folder / "executed").exists()


def test_pickled_weights_are_refused_by_every_command(folders, tmp_path, command, files):
    for file in folders["klue-roberta"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(CourseError, match="safetensors"):
        initial_model(load_tokenizer(tmp_path), tmp_path, 2)
    for arguments in commands(tmp_path, files).values():
        code, rows, error = command("evaluate", *arguments)
        assert code == 2 and not rows and "safetensors" in error.splitlines()[-1]


def test_a_model_of_no_known_kind_is_refused(folders, tmp_path):
    for file in folders["kr-bert"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(CourseError, match="gpt2 모델이어서 BertForMaskedLM"):
        load_model(BertForMaskedLM, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "kobigbird"}))
    with pytest.raises(CourseError, match="모델의 종류"):
        load_model(BertForMaskedLM, tmp_path)


def test_pretraining_goes_on_from_a_bert_only(folders):
    for name in ("klue-roberta", "koelectra"):
        tokenizer = load_tokenizer(folders[name])
        with pytest.raises(CourseError, match="BERT 모델을 쓰십시오"):
            initial_model(tokenizer, folders[name], 2)
    tokenizer = load_tokenizer(folders["kcbert"])
    net = initial_model(tokenizer, folders["kcbert"], 2)
    written = load_file(folders["kcbert"] / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(net.state_dict()[name], written[name])


# --- lesson 02 -----------------------------------------------------------------------------------


def test_chatbot_finds_its_own_questions(model, tmp_path):
    encoder = load_sentence_encoder(model)
    chatbot = SimilarityChatbot(TEXTS, TEXTS, encoder)
    assert [chatbot.answer(text).answer for text in TEXTS] == list(TEXTS)
    assert np.isfinite(encoder.encode([BEYOND, ""])).all()
    encoder.max_length = architectures.max_tokens(encoder.model.config)
    assert np.isfinite(encoder.encode([BEYOND])).all()
    encoder.save(tmp_path)
    again = load_sentence_encoder(tmp_path)
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-2)


def test_a_pooler_that_was_never_trained_is_no_pooling(model):
    with pytest.raises(CourseError, match="풀러"):
        load_sentence_encoder(model, pooling="pooler")


# --- lesson 05 -----------------------------------------------------------------------------------


def test_entity_bert_learns_and_is_read_again(model, tmp_path):
    examples = [
        {**make_example(text, (0, 1), (4, 6), "PER", "LOC"), "label": str(number % 2)}
        for number, text in enumerate(TEXTS)
    ]
    net, tokenizer = train(
        examples, "tags_and_entity_embedding", model, settings=Settings(1, 1e-3, 4, 64)
    )
    net.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = RelationExtractor.from_pretrained(tmp_path)
    np.testing.assert_allclose(
        predict(again.model, again.tokenizer, examples),
        predict(net, tokenizer, examples),
        atol=1e-3,
    )


@pytest.mark.parametrize("name", ["klue-roberta", "koelectra-generator", "kcbert"])
def test_entity_pretraining_goes_on_from_each_family(name, folders, tmp_path):
    tokenizer, choose = load_tokenizer(folders[name]), pretraining.choose_chunks
    rows = [{"input_ids": ids, "chunks": [(1, 4)]} for ids in tokenizer(list(TEXTS))["input_ids"]]
    before = pretraining.recovered(rows, choose, folders[name])
    pretraining.continue_pretraining(
        rows, choose, tmp_path / "more", folders[name], steps=60, learning_rate=1e-2
    )
    assert pretraining.recovered(rows, choose, tmp_path / "more") > before
    load_model(EntityBert, tmp_path / "more", num_labels=2)


# --- lesson 06 -----------------------------------------------------------------------------------


def test_four_tasks_share_an_encoder_and_are_read_again(model, files, tmp_path, command):
    names = {"sentiment": "reviews.tsv", "similarity": "pairs.tsv"}
    names |= {"entities": "entities.tsv", "reading": "reading.json"}
    given = [f"{task}={files / name}" for task, name in names.items()]
    code, (row,), error = command(
        "evaluate", "finetuning", "--task", "multi", "--train", *given, "--test", *given,
        "--model", model, "--steps", 6, "--max-length", 1000, "--output", tmp_path / "out",
    )  # fmt: skip
    assert code == 0 and row["sentiment"]["train_refused"] == 2
    longest = architectures.max_tokens(load_config(model)) // 8 * 8
    assert f"max_length를 1000에서 {longest}(으)로" in error
    bodies = []
    for task in names:
        one = FineTuned.from_pretrained(TASKS[task], tmp_path / "out" / task)
        assert one.max_length == longest
        assert one(*[TEXTS[3]] * len(TASKS[task].columns)) is not None
        bodies.append(one.model.base_model.encoder.layer[1].output.dense.weight)
    assert all(torch.equal(body, bodies[0]) for body in bodies)
    before = load_model(BertModel, model).encoder.layer[1].output.dense.weight
    assert not torch.equal(bodies[0], before)


# --- every `evaluate` ----------------------------------------------------------------------------


def commands(model, files):
    """{lesson: arguments of its `evaluate`}, tiny; where there is a --max-length it is too long."""
    relations, reviews = files / "relations.json", files / "reviews.tsv"
    return {
        "similarity_chatbot": [
            "similarity_chatbot", "--encoder", model,
            "--questions", files / "questions.tsv", "--queries", files / "queries.tsv",
        ],
        "mask_attack": [
            "mask_attack", "--train", reviews, "--test", reviews, "--model", model,
            "--no-filter", "--epochs", 1, "--method", "bert-attack", "--method", "bae-r",
        ],
        "korean_pretraining": [
            "korean_pretraining", "--model", model, "--text", files / "sentences.txt",
            "--max-length", 1000,
        ],
        "entity_bert": [
            "entity_bert", "--train", relations, "--test", relations, "--model", model,
            "--epochs", 1, "--max-length", 1000,
        ],
        "finetuning": [
            "finetuning", "--task", "sentiment", "--train", reviews, "--test", reviews,
            "--model", model, "--steps", 2, "--method", "untrained",
        ],
    }  # fmt: skip


@pytest.mark.parametrize("lesson", ["similarity_chatbot", "mask_attack", "korean_pretraining"])
def test_evaluate_measures(lesson, model, files, command):
    code, rows, error = command("evaluate", *commands(model, files)[lesson])
    if model.name == "koelectra" and lesson != "similarity_chatbot":
        assert code == 2 and not rows and "빈칸을 채우는 머리" in error
        return
    assert code == 0 and rows
    if lesson == "similarity_chatbot":
        assert rows == [{"recall_at_1": 1.0, "recall_at_5": 1.0, "mrr": 1.0, "n": 2}]
    elif lesson == "mask_attack":
        assert [row["method"] for row in rows] == ["bert-attack", "bae-r"]
        assert error.count("쓸 수 없는 줄 2개를 뺐습니다(") == 2  # train and test
    else:
        assert rows[0]["sentences"] == len(TEXTS) + 1
        assert f"1000에서 {architectures.max_tokens(load_config(model))}(으)로" in error


@pytest.mark.parametrize("lesson", ["entity_bert", "finetuning"])
def test_evaluate_learns(lesson, model, files, command):
    code, (row,), error = command("evaluate", *commands(model, files)[lesson])
    assert code == 0 and row["train_examples"] == 4
    if lesson == "entity_bert":
        longest = architectures.max_tokens(load_config(model)) // 8 * 8
        assert error.count(f"max_length를 1000에서 {longest}(으)로 줄입니다.") == 1
