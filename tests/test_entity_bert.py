import json
import random
import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertTokenizerFast,
    TrainerCallback,
)

from helpers import ROOT, CourseError, resources
from helpers.__main__ import main
from helpers.entity_bert import metrics, pretraining, results, spans
from helpers.entity_bert.evaluate import Result, evaluate
from helpers.entity_bert.model import EntityBert
from helpers.entity_bert.spans import TYPES, VARIANTS, Variant, encode, make_example, meaning
from helpers.entity_bert.train import (
    KeepBest,
    RelationExtractor,
    Settings,
    encode_all,
    pad_batch,
    predict,
    predict_rows,
    train,
)

SENTENCE = "이순신은 조선 중기의 무신이다."
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = sorted(set("".join([*resources.ORDINARY_KOREAN, *TYPES.values(), SENTENCE, "@*#+"])))


def make_tokenizer() -> BertTokenizerFast:
    pieces = [*SPECIALS, *LETTERS, *(f"##{letter}" for letter in LETTERS), "##순신은", "조선"]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    return BertTokenizerFast(vocab=vocab, do_lower_case=False, strip_accents=False)


TOKENIZER = make_tokenizer()
CONFIG = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
CONFIG |= {"intermediate_size": 16, "max_position_embeddings": 64, "vocab_size": len(TOKENIZER)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a tiny plain BERT and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    BertForPreTraining(BertConfig(**CONFIG)).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


def example(sentence=SENTENCE, subject="이순신", object="조선", kinds=("PER", "LOC"), **more):
    return {**make_example(sentence, subject, object, *kinds), "label": "no_relation", **more}


def pieces(row: dict, tokenizer=TOKENIZER) -> list[str]:
    return tokenizer.convert_ids_to_tokens(row["input_ids"])


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_embedded_data_can_be_read_and_encoded(name):
    examples = spans.read_examples(ROOT / "data" / "entity_bert" / f"{name}.json")
    tokenizer = resources.load_tokenizer("mini-bert-ko")
    rows = encode_all(tokenizer, examples, "entity_embedding", 128)
    for item, row in zip(examples, rows, strict=True):
        tokens = pieces(row, tokenizer)
        for role, (first, last) in zip(spans.ROLES, row["spans"], strict=True):
            spelled = "".join(token.removeprefix("##") for token in tokens[first:last])
            word = item[role]["word"].replace(" ", "")
            assert word in spelled or "[UNK]" in spelled


def test_no_entity_pair_and_no_sentence_crosses_the_split():
    seen = {}
    for name in ("train", "dev", "test"):
        for item in spans.read_examples(ROOT / "data" / "entity_bert" / f"{name}.json"):
            pair = frozenset(item[role]["word"] for role in spans.ROLES)
            assert seen.setdefault(pair, name) == name
            assert seen.setdefault(item["sentence"], name) == name


GOOD = example()


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "읽을 수 없습니다"),
        ("이것은 JSON이 아닙니다", "JSON 파일이 아닙니다"),
        ("[]", "예가 없습니다"),
        ('{"sentence": "가"}', "예가 없습니다"),
        (json.dumps([GOOD, {"sentence": "가"}]), "2번째 예가 KLUE-RE 형식이 아닙니다"),
        (json.dumps([{**GOOD, "label": None}]), "1번째 예가 KLUE-RE 형식이 아닙니다"),
        (
            json.dumps(
                [{**GOOD, "subject_entity": {"word": "이", "start_idx": "a", "end_idx": 0}}]
            ),
            "1번째 예가 KLUE-RE 형식이 아닙니다",
        ),
        (json.dumps([{**GOOD, "sentence": "이순신"}]), "1번째 예: object_entity의 자리"),
        (
            json.dumps([{**GOOD, "object_entity": {**GOOD["object_entity"], "end_idx": 7}}]),
            "마지막 글자",
        ),
    ],
)
def test_wrong_file_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=words) as raised:
        spans.read_examples(path)
    assert "\n" not in str(raised.value)


def test_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "file.json").write_text(json.dumps([GOOD]), encoding="utf-8-sig")
    assert spans.read_examples(tmp_path / "file.json") == [GOOD]


# --- from spans to tokens ------------------------------------------------------------------------


def test_tokens_that_share_a_letter_are_the_entitys():
    row = encode(TOKENIZER, example(), VARIANTS["entity_embedding"])
    assert pieces(row)[1:4] == ["이", "##순신은", "조선"]  # the particle hangs on
    assert row["entity_ids"][:5] == [0, 1, 1, 2, 0] and row["entity_ids"][-1] == 0
    assert row["starts"] == [1, 3] and row["spans"] == [[1, 3], [3, 4]]


def test_first_and_last_letter_of_a_sentence():
    row = encode(TOKENIZER, example("이순신 조선", "이", "선"), VARIANTS["entity_embedding"])
    assert row["entity_ids"][1] == 1 and row["entity_ids"][-2:] == [2, 0]


def test_repeated_word_is_chosen_by_its_place():
    sentence = "조선의 조선"
    with pytest.raises(CourseError, match=r"여러 자리\(0, 4\)"):
        example(sentence, "조선", "의")
    row = encode(TOKENIZER, example(sentence, (4, 5), "의"), VARIANTS["entity_embedding"])
    assert row["starts"][0] == pieces(row).index("조선", 2)


def test_a_word_that_only_looks_like_the_sentences_is_told_apart_from_a_missing_one():
    decomposed = unicodedata.normalize("NFD", "조선의 왕")
    with pytest.raises(CourseError, match="자모로 나뉘어"):
        example(decomposed, "조선", (0, 0))
    with pytest.raises(CourseError, match="쓴 그대로"):
        example(decomposed, "고려", (0, 0))


def test_nested_entities_both_stay_visible():
    outer, inner = example("이순신은", (0, 3), (0, 0)), example("이순신은", (0, 0), (0, 3))
    for item, expected in ((outer, [0, 2, 1, 0]), (inner, [0, 1, 2, 0])):
        assert encode(TOKENIZER, item, VARIANTS["entity_embedding"])["entity_ids"] == expected


def test_entity_the_vocabulary_does_not_know():
    row = encode(TOKENIZER, example("鄭은 조선", "鄭", "조선"), VARIANTS["entity_embedding"])
    assert pieces(row)[1] == "[UNK]" and row["entity_ids"][1] == 1


def test_emoji_before_the_span_moves_nothing():
    row = encode(
        TOKENIZER, example("😀👨‍👩‍👧 이순신은 조선", "이순신", "조선"), VARIANTS["entity_embedding"]
    )
    assert pieces(row)[row["starts"][0]] == "이" and pieces(row)[row["starts"][1]] == "조선"


def test_letters_apart_give_the_same_tokens():
    apart = unicodedata.normalize("NFD", SENTENCE)
    subject, object = (unicodedata.normalize("NFD", word) for word in ("이순신", "조선"))
    variant = VARIANTS["typed_punctuation"]
    assert encode(TOKENIZER, example(apart, subject, object), variant) == encode(
        TOKENIZER, example(), variant
    )


def test_span_that_cuts_a_syllable_takes_it_whole():
    apart = unicodedata.normalize("NFD", "가간나")  # ㄱㅏ ㄱㅏㄴ ㄴㅏ
    assert spans.compose(apart, [(3, 4), (0, 3)]) == ("가간나", [(1, 2), (0, 2)])


def test_span_without_a_token_is_one_sentence():
    with pytest.raises(CourseError, match="없습니다"):
        example("이순신은 조선", " ", "조선")
    with pytest.raises(CourseError, match="어떤 토큰에도 들지 않습니다"):
        encode(TOKENIZER, example("\u200b 이순신은 조선", "\u200b", "조선"), VARIANTS["plain"])


@pytest.mark.parametrize("span", [(-1, 2), (3, 2), (0, 99), (17, 17)])
def test_place_outside_the_sentence_is_one_sentence(span):
    with pytest.raises(CourseError, match="자리"):
        make_example(SENTENCE, span, "조선")


def test_window_keeps_both_entities_or_says_why_not():
    sentence = "가 " * 30 + SENTENCE + " 가" * 30
    item = example(sentence)
    for name, variant in VARIANTS.items():
        row = encode(make_marked(variant), item, variant, 24)
        assert len(row["input_ids"]) == len(row["entity_ids"]) == 24, name
        tokens = pieces(row, make_marked(variant))
        (first, last), (second, _) = row["spans"]
        assert "".join(tokens[first:last]).replace("##", "").startswith("이순신")
        assert tokens[second] == "조선"
    with pytest.raises(CourseError, match="max_length를 늘리거나"):
        encode(TOKENIZER, item, VARIANTS["plain"], 4)
    with pytest.raises(CourseError, match="함께 들어가지 않습니다"):
        encode(TOKENIZER, example("이순신" + " 가" * 30 + " 조선"), VARIANTS["plain"], 30)


def make_marked(variant: Variant) -> BertTokenizerFast:
    tokenizer = make_tokenizer()
    name = next(name for name in VARIANTS if VARIANTS[name] == variant)
    tags = spans.SPECIAL_TOKENS.get(variant.markers, [])
    assert spans.add_special_tokens(tokenizer, name) == len(tags)
    return tokenizer


def add_markers(model, tokenizer):
    spans.add_special_tokens(tokenizer, model.config.entity_variant)
    model.resize_token_embeddings(len(tokenizer))


@given(st.data())
def test_window_is_as_large_as_it_can_be(data):
    length = data.draw(st.integers(1, 60))
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))
    size = data.draw(st.integers(last - first, 80))
    start, stop = spans.window(length, first, last, size)
    assert 0 <= start <= first < last <= stop <= length
    assert stop - start == min(size, length)


texts = st.text(
    st.sampled_from("가나다 각한國a.😀\u1100\u1161\u11a8e\u0301"), min_size=2, max_size=12
)


@given(st.data(), texts)
def test_markers_stand_around_the_spans_and_nowhere_else(data, text):
    """For any two spans: taken out again they leave the text; nested ones close in order."""
    both = []
    for _ in range(2):
        start = data.draw(st.integers(0, len(text) - 1))
        both.append((start, data.draw(st.integers(start + 1, len(text)))))
    markers = [("<1>", "</1>"), ("<2>", "</2>")]
    marked, inner, outer = spans.mark(text, both, markers)
    plain = marked
    for marker in ("<1>", "</1>", "<2>", "</2>"):
        assert plain.count(marker) == 1
        plain = plain.replace(marker, "")
    assert plain == text
    for number, (start, end) in enumerate(both):
        opening, closing = markers[number]
        assert marked[slice(*outer[number])].startswith(opening)
        assert marked[slice(*outer[number])].endswith(closing)
        assert marked[slice(*inner[number])] == marked[slice(*outer[number])][3:-4]
        within = marked[slice(*inner[number])]
        for marker in markers[1 - number]:
            within = within.replace(marker, "")
        assert within == text[start:end]
    (a, b), (c, d) = both
    if a <= c and d <= b:  # the second lies inside: its markers do, too
        assert outer[0][0] < outer[1][0] and outer[1][1] < outer[0][1]


@given(st.data(), texts)
def test_composing_keeps_what_the_spans_spell(data, text):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    composed, ((first, last),) = spans.compose(text, [(start, end)])
    assert composed == unicodedata.normalize("NFC", text)
    whole = unicodedata.normalize("NFD", composed[first:last])
    assert unicodedata.normalize("NFD", text[start:end]) in whole
    for place, moved in ((start, first), (end, last)):  # no more than that where it can be cut
        halves = [unicodedata.normalize("NFC", part) for part in (text[:place], text[place:])]
        assert moved == len(halves[0]) or "".join(halves) != composed


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_every_variant_marks_exactly_the_tokens_of_the_spans(data):
    """Real offsets, random spans: the pieces
    of a span spell at least its letters, markers excluded.
    """
    text = SENTENCE
    places = []
    for _ in range(2):
        start = data.draw(st.integers(0, len(text) - 1).filter(lambda i: text[i] != " "))
        end = data.draw(st.integers(start, len(text) - 1).filter(lambda i: text[i] != " "))
        places.append((start, end))
    variant = VARIANTS[data.draw(st.sampled_from(sorted(VARIANTS)))]
    tokenizer = make_marked(variant)
    row = encode(tokenizer, example(text, *places), variant)
    tokens = tokenizer.convert_ids_to_tokens(row["input_ids"])
    specials = {*tokenizer.all_special_tokens}
    for (start, end), (first, last) in zip(places, row["spans"], strict=True):
        spelled = "".join(t.removeprefix("##") for t in tokens[first:last] if t not in specials)
        if variant.markers != "punctuation":  # there the other's marker may lie inside
            assert text[start : end + 1].replace(" ", "") in spelled
    assert {0} == {row["entity_ids"][i] for i, t in enumerate(tokens) if t in specials}
    assert all((0 <= s < len(tokens)) for s in row["starts"])


def test_markers_of_each_kind():
    def text(name):
        variant = VARIANTS[name]
        tokenizer = make_marked(variant)
        row = encode(tokenizer, example(), variant)
        return " ".join(tokenizer.convert_ids_to_tokens(row["input_ids"])), row

    assert text("tags")[0].startswith("[CLS] [SUB] 이 ##순 ##신 [/SUB] 은 [OBJ] 조선 [/OBJ] 중")
    assert text("lecture")[0].startswith("[CLS] [ENT] 이 ##순 ##신 [/ENT] 은 [ENT] 조선 [/ENT] 중")
    assert text("lecture")[1]["entity_ids"][:10] == [0, 0, 1, 1, 1, 0, 0, 0, 1, 0]  # tags get 0
    assert "[SUB:PER] 이 ##순 ##신 [/SUB:PER] 은 [OBJ:LOC] 조선 [/OBJ:LOC]" in text("typed_tags")[0]
    assert "@ * 사 ##람 * 이 ##순 ##신 @ 은 # + 장 ##소 + 조선 # 중" in text("typed_punctuation")[0]
    assert text("typed_entity_embedding")[1]["entity_ids"][1:4] == [1, 1, 9]
    assert text("entity_start")[1]["starts"] == [1, 7]  # the opening markers
    assert text("rbert")[1]["spans"] == [[2, 5], [8, 9]]  # without them


def test_missing_type_is_one_sentence():
    item = example(kinds=("PER", None))
    encode(TOKENIZER, item, VARIANTS["entity_embedding"])
    for name in ("typed_tags", "typed_punctuation", "typed_entity_embedding"):
        with pytest.raises(CourseError, match="PER, ORG"):
            encode(TOKENIZER, item, VARIANTS[name])


# --- the model -----------------------------------------------------------------------------------


def batch_of(*items, variant="entity_embedding", tokenizer=TOKENIZER):
    rows = encode_all(tokenizer, items, variant, 64)
    return pad_batch(rows, tokenizer.pad_token_id)


def test_plain_is_the_librarys_sentence_classifier(tiny):
    model = resources.load_model(EntityBert, tiny, entity_variant="plain", num_labels=3)
    reference = BertForSequenceClassification(model.config).eval()
    pooler = {f"bert.pooler.dense.{k}": v for k, v in model.dense.state_dict().items()}
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("dense.")}
    reference.load_state_dict(state | pooler)
    batch = batch_of(example(), example("조선은 이순신"), variant="plain")
    expected = reference(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    torch.testing.assert_close(model(**batch).logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "name, without",
    [("entity_embedding_cls", "plain"), ("entity_embedding", "entity_pooling")],
)
def test_step_0_is_the_model_without_an_entity_embedding(tiny, name, without):
    torch.manual_seed(1)
    model = resources.load_model(EntityBert, tiny, entity_variant=name, num_labels=3)
    other = resources.load_model(EntityBert, tiny, entity_variant=without, num_labels=3)
    other.load_state_dict({k: v for k, v in model.state_dict().items() if "entity" not in k})
    batch = batch_of(example(), example("조선은 이순신", "조선", "이순신"))
    assert batch["entity_ids"].any()
    assert torch.equal(model(**batch).logits, other(**batch).logits)
    with torch.no_grad():
        model.entity_embeddings.weight[1:].normal_()  # a constant would vanish in the LayerNorm
    assert not torch.equal(model(**batch).logits, other(**batch).logits)


@pytest.mark.parametrize("name", [n for n, v in VARIANTS.items() if v.ids])
def test_gradients_reach_the_entity_embedding_but_not_row_0(tiny, name):
    model = resources.load_model(EntityBert, tiny, entity_variant=name, num_labels=3)
    tokenizer = make_tokenizer()
    add_markers(model, tokenizer)
    batch = batch_of(example(), variant=name, tokenizer=tokenizer)
    model(**batch, labels=torch.tensor([1])).loss.backward()
    gradient = model.entity_embeddings.weight.grad.abs().sum(1)
    used = set(batch["entity_ids"].flatten().tolist()) - {0}
    assert used and {row for row, size in enumerate(gradient) if size > 0} == used


def test_means_are_taken_over_the_entitys_tokens_only(tiny):
    model = resources.load_model(EntityBert, tiny, entity_variant="rbert", num_labels=3)
    hidden = torch.randn(2, 6, 16)
    spans_ = torch.tensor([[[1, 3], [4, 5]], [[0, 1], [2, 6]]])
    read = {}
    model.dense.register_forward_hook(lambda module, inputs, output: read.update(x=inputs[0]))
    model.pool(hidden, None, None, spans_)
    expected = torch.cat([hidden[0, 0], hidden[0, 1:3].mean(0), hidden[0, 4]])
    torch.testing.assert_close(read["x"][0], expected)
    expected = torch.cat([hidden[1, 0], hidden[1, 0], hidden[1, 2:].mean(0)])
    torch.testing.assert_close(read["x"][1], expected)


def test_starts_are_each_sentences_own(tiny):
    model = resources.load_model(EntityBert, tiny, entity_variant="entity_start", num_labels=3)
    hidden = torch.randn(2, 6, 16)
    read = {}
    model.dense.register_forward_hook(lambda module, inputs, output: read.update(x=inputs[0]))
    model.pool(hidden, None, torch.tensor([[1, 4], [5, 2]]), None)
    assert torch.equal(read["x"][0], torch.cat([hidden[0, 1], hidden[0, 4]]))
    assert torch.equal(read["x"][1], torch.cat([hidden[1, 5], hidden[1, 2]]))


def test_the_mean_of_all_tokens_leaves_the_padding_out(tiny):
    model = resources.load_model(EntityBert, tiny, entity_variant="plain_mean", num_labels=3)
    hidden = torch.randn(2, 6, 16)
    attention_mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1] * 6])
    read = {}
    model.dense.register_forward_hook(lambda module, inputs, output: read.update(x=inputs[0]))
    model.pool(hidden, attention_mask, None, None)
    torch.testing.assert_close(read["x"], torch.stack([hidden[0, :3].mean(0), hidden[1].mean(0)]))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_survives_saving(tiny, tmp_path, name):
    model = resources.load_model(
        EntityBert, tiny, entity_variant=name, id2label={0: "no_relation", 1: "per:title"}
    )
    tokenizer = make_tokenizer()
    add_markers(model, tokenizer)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = RelationExtractor.from_pretrained(tmp_path)
    assert again.model.config.entity_variant == name
    assert again.model.config.id2label == {0: "no_relation", 1: "per:title"}
    items = [example()]
    before = predict(model, tokenizer, items)
    np.testing.assert_allclose(before, predict(again.model, again.tokenizer, items), atol=1e-5)
    assert not (tmp_path / "pytorch_model.bin").exists()


def test_padding_and_company_change_nothing(tiny):
    model = resources.load_model(EntityBert, tiny, entity_variant="rbert", num_labels=3)
    tokenizer = make_tokenizer()
    add_markers(model, tokenizer)
    torch.manual_seed(1)
    for parameter in model.parameters():  # as it is saved, the model answers everything alike
        torch.nn.init.normal_(parameter, std=0.5)
    items = [example(), example("조선 " * 8 + SENTENCE, "이순신", (0, 1)), example("이순신의 조선")]
    together = predict(model, tokenizer, items)
    alone = np.concatenate([predict(model, tokenizer, [item]) for item in items])
    np.testing.assert_allclose(together, alone, atol=0.01)  # bf16, where the processor has it
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-3)
    assert all(np.abs(alone[i] - alone[j]).max() > 0.1 for i, j in ((0, 1), (0, 2), (1, 2)))


def test_unknown_variant_is_one_sentence(tiny):
    with pytest.raises(CourseError, match="'nonsense'.*plain"):
        train([example()], "nonsense", tiny)


# --- training and measuring ----------------------------------------------------------------------

NAMES = "공원 친구 날씨 서울 한강 수도 언어 모델".split()


def make_examples(count: int, seed: int = 0) -> list[dict]:
    """Sentences where only the roles decide: the first word owns the second, not the other way."""
    rng = random.Random(seed)
    examples = []
    for _ in range(count):
        a, b = rng.sample(NAMES, 2)
        item = make_example(f"{a}의 {b}이다.", *((a, b) if rng.random() < 0.5 else (b, a)))
        label = "org:product" if item["subject_entity"]["start_idx"] == 0 else "no_relation"
        examples.append({**item, "label": label})
    return examples


QUICK = Settings(epochs=8, learning_rate=3e-3, batch_size=16, max_length=32)


def test_only_a_model_that_knows_the_roles_can_learn_them(tiny):
    examples, unseen = make_examples(160), make_examples(80, seed=1)
    gold = [item["label"] for item in unseen]
    scores, longer = {}, replace(QUICK, epochs=24, learning_rate=5e-4)
    for name in ("plain", "lecture", "entity_embedding_cls"):
        model, tokenizer = train(examples, name, tiny, settings=longer, device="cpu")
        probabilities = predict(model, tokenizer, unseen)
        answers = [model.config.id2label[i] for i in probabilities.argmax(1)]
        scores[name] = np.mean([a == g for a, g in zip(answers, gold, strict=True)])
    assert scores["entity_embedding_cls"] == 1
    assert scores["plain"] < 0.75 and scores["lecture"] < 0.75


def test_new_layers_learn_faster_and_none_is_left_out(tiny):
    rates = {}

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
            names = {id(parameter): name for name, parameter in model.named_parameters()}
            for group in optimizer.param_groups:
                rates.update({names[id(p)]: group["initial_lr"] for p in group["params"]})

    quick = replace(QUICK, epochs=0.1)  # less than one batch: one step all the same
    model, _ = train(
        make_examples(16), "entity_embedding", tiny, settings=quick, callbacks=[Look()]
    )
    assert rates.keys() == {name for name, _ in model.named_parameters()}
    fast = {name.split(".")[0] for name, rate in rates.items() if rate > quick.learning_rate}
    assert fast == {"entity_embeddings", "dense", "classifier"}
    assert model.entity_embeddings.weight[1:].all()  # the one step has moved them


def test_same_seed_same_model(tiny):
    begins = []

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            begins.append(model.classifier.weight.detach().clone())

    options = {"settings": replace(QUICK, epochs=1), "device": "cpu", "callbacks": [Look()]}
    examples = make_examples(32)
    models = [train(examples, "entity_embedding", tiny, seed, **options)[0] for seed in (0, 0, 1)]
    for once, again, other in (begins, [model.classifier.weight for model in models]):
        assert torch.equal(once, again)
        assert not torch.equal(
            once, other
        )  # the seed draws the new layers, too, not only the order


def test_span_that_does_not_fit_is_named_before_training(tiny, tmp_path):
    class Never(TrainerCallback):
        def on_train_begin(self, *arguments, **kwargs):
            raise AssertionError

    long = example("이순신" + " 가" * 40 + " 조선")
    with pytest.raises(CourseError, match="^2번째 예: 두 개체와"):
        train([example(), long], "plain", tiny, settings=QUICK, callbacks=[Never()])
    for name, items in (("train", [example()]), ("test", [example(), long])):
        (tmp_path / name).write_text(json.dumps(items), encoding="utf-8")
    files = tmp_path / "train", tmp_path / "test"
    with pytest.raises(CourseError, match="^2번째 예: 두 개체와"):
        evaluate(*files, "tags", model=tiny, settings=QUICK, callbacks=[Never()])


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": -1}, {"max_length": 2}]
)
def test_number_without_sense_is_one_sentence(tiny, wrong):
    with pytest.raises(CourseError, match=next(iter(wrong))):
        train([example()], "plain", tiny, settings=replace(QUICK, **wrong))


def test_max_length_beyond_the_model_is_cut_with_a_line(tiny, capsys):
    train([example()], "plain", tiny, settings=replace(QUICK, max_length=65))
    assert "max_length를 65에서 64" in capsys.readouterr().err


def test_extractor_reads_words_and_places(tiny):
    model, tokenizer = train(make_examples(96), "entity_embedding", tiny, settings=QUICK)
    extract_relation = RelationExtractor(model, tokenizer)
    answer = extract_relation("서울의 공원이다.", "서울", "공원")
    assert list(answer.values()) == sorted(answer.values(), reverse=True)
    assert sum(answer.values()) == pytest.approx(1, abs=1e-3)
    assert answer == extract_relation("서울의 공원이다.", (0, 1), (4, 5))
    with pytest.raises(CourseError, match="'부산'이.*문장에 없습니다"):
        extract_relation("서울의 공원이다.", "부산", "공원")


def test_command_line_prints_one_json_line(tiny, tmp_path, monkeypatch, capsys):
    for name, count, seed in (("train", 48, 0), ("test", 24, 1)):
        text = json.dumps(make_examples(count, seed), ensure_ascii=False)
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")

    def run(*more):
        command = ["helpers", "evaluate", "entity_bert", "--model", tiny, "--max-length", "32"]
        command += ["--train", tmp_path / "train.json", "--test", tmp_path / "test.json"]
        monkeypatch.setattr(sys, "argv", [str(part) for part in [*command, *more]])
        return main(), *capsys.readouterr()

    code, out, _ = run("--variant", "entity_start", "--seed", "3", "--output", tmp_path / "kept")
    row = json.loads(out)
    assert code == 0 and len(out.splitlines()) == 1
    assert (row["variant"], row["seed"]) == ("entity_start", 3)
    assert 0 <= row["micro_f1"] <= 100 and 0 <= row["auprc"] <= 100 and row["seconds"] > 0
    assert RelationExtractor.from_pretrained(tmp_path / "kept").model.config.num_labels == 2
    occupied = tmp_path / "train.json"  # a file where the folder should be
    for wrong, words in (
        (["--variant", "none"], "'none'"),
        (["--epochs", "0"], "epochs"),
        (["--output", occupied], "폴더를 만들 수 없습니다"),
    ):
        code, out, error = run(*wrong)
        assert (code, out) == (2, "") and len(error.splitlines()) == 1
        assert error.startswith("오류: ") and words in error


def test_label_that_only_the_test_file_has_counts_as_missed(tiny, tmp_path):
    files = {"train": make_examples(16), "test": [example(label="per:title"), *make_examples(8, 1)]}
    for name, items in files.items():
        (tmp_path / name).write_text(json.dumps(items), encoding="utf-8")
    result = evaluate(
        tmp_path / "train",
        tmp_path / "test",
        "plain",
        model=tiny,
        settings=replace(QUICK, epochs=1),
    )
    assert result.outcomes[0] in "mx" and len(result.outcomes) == 9


def test_log_is_completed_not_repeated(tiny, tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("train", "dev", "test")]
    for file, count in zip(files, (16, 8, 8), strict=True):
        file.write_text(json.dumps(make_examples(count), ensure_ascii=False), encoding="utf-8")
    log, quick = tmp_path / "log.jsonl", replace(QUICK, epochs=1)
    job = "ours", files
    options = {"model": tiny, "settings": quick, "log": log, "rates": [1e-3]}
    results.run_missing(*job, ["plain"], [0, 1], **options)
    first = log.read_text(encoding="utf-8")
    results.run_missing(*job, ["plain", "rbert"], [0, 1], **options)
    assert log.read_text(encoding="utf-8").startswith(first)
    runs = [(row["variant"], row["seed"]) for row in results.read_results(log)]
    assert runs == [("plain", 0), ("plain", 1), ("rbert", 0), ("rbert", 1)]
    options["settings"] = replace(quick, batch_size=8)  # another setting is another run
    results.run_missing(*job, ["plain"], [0], **options)
    assert len(results.read_results(log)) == 5
    row = results.read_results(log)[0]
    assert row["weights"] == results.weights_of(tiny) and len(row["outcomes"]) == 8
    other = json.dumps({**row, "weights": "newer"}) + "\n"
    log.write_text(log.read_text(encoding="utf-8") + other, encoding="utf-8")
    assert {row["weights"] for row in results.read_results(log)} == {"newer"}
    assert len(results.read_results(log, results.weights_of(tiny))) == 5
    assert results.read_results(tmp_path / "nothing") == []


def test_the_development_file_chooses_the_rate_of_all_seeds(tmp_path, monkeypatch):
    tried = []

    def run(train_file, test_file, variant, seed, *, dev_file, model, settings):
        tried.append((variant, seed, settings.learning_rate))
        dev = {1: 10.0, 2: 90.0, 3: 50.0}[settings.learning_rate]
        scores = (0, dev, 20.0)  # what counts is the epoch that is kept
        # The best rate on the test file is another one.
        f1 = 100 - dev
        return Result(variant, seed, f1, f1, 1, 1, 1, 1, scores, 0.0, "+")

    monkeypatch.setattr(results, "evaluate", run)
    monkeypatch.setattr(results, "weights_of", lambda model: "a")
    log = tmp_path / "log.jsonl"
    job = {"rates": [1, 2, 3], "log": log}
    results.run_missing("ours", ["train", "dev", "test"], ["plain", "tags"], [0, 1], **job)
    first = [(name, 0, rate) for name in ("plain", "tags") for rate in (1, 2, 3)]
    assert tried == [*first, ("plain", 1, 2), ("tags", 1, 2)]
    chosen = results.chosen_runs(results.read_results(log))
    assert [(r["variant"], r["seed"], r["learning_rate"]) for r in chosen] == [
        ("plain", 0, 2),
        ("plain", 1, 2),
        ("tags", 0, 2),
        ("tags", 1, 2),
    ]
    results.run_missing("ours", ["train", "dev", "test"], ["plain"], [0, 1], **job)
    assert len(tried) == 8


def test_the_best_epoch_is_kept(tiny):
    examples, dev = make_examples(96), make_examples(40, seed=1)
    seen = []

    class Spoil(TrainerCallback):
        """After two epochs the classifier is overwritten: what was learnt is lost."""

        def on_epoch_begin(self, args, state, control, model=None, **kwargs):
            if state.epoch >= 6:
                model.classifier.weight.data.zero_()
                model.classifier.bias.data = torch.tensor([1e3, 0.0])

        def on_epoch_end(self, args, state, control, model=None, **kwargs):
            seen.append(model.classifier.weight.detach().clone())

    keep = KeepBest(dev, max_length=32)
    settings = replace(QUICK, learning_rate=1e-3)
    model, tokenizer = train(
        examples, "entity_embedding", tiny, settings=settings, callbacks=[Spoil(), keep]
    )
    assert len(keep.scores) == 8 and keep.scores[-1] == 0 < max(keep.scores)
    answers = [model.config.id2label[i] for i in predict(model, tokenizer, dev).argmax(1)]
    assert metrics.micro_f1([e["label"] for e in dev], answers) == max(keep.scores)
    best = max(i for i, score in enumerate(keep.scores) if score == max(keep.scores))
    assert torch.equal(model.classifier.weight, seen[best])


def test_tags_start_from_words_that_mean_them(tiny):
    examples = make_examples(16)
    begins = []

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, processing_class=None, **kwargs):
            rows = model.get_input_embeddings().weight.detach()
            begins.append((rows.clone(), processing_class))

    train(examples, "tags", tiny, settings=replace(QUICK, epochs=1), callbacks=[Look()])
    ((rows, tokenizer),) = begins
    for tag, words in (("[SUB]", "주어"), ("[/OBJ]", "목적어 끝")):
        ids = tokenizer(words, add_special_tokens=False)["input_ids"]
        found = rows[tokenizer.convert_tokens_to_ids(tag)]
        torch.testing.assert_close(found, rows[ids].mean(0))
    assert len(rows) == len(tokenizer)


@pytest.mark.parametrize(
    ("tag", "words"), [("[SUB]", "주어"), ("[/ENT]", "이름 끝"), ("[/OBJ:DAT]", "목적어 날짜 끝")]
)
def test_what_a_tag_means(tag, words):
    assert meaning(tag) == words


# --- measures ------------------------------------------------------------------------------------

NO = "no_relation"


@pytest.mark.parametrize(
    "gold, predicted, expected",
    [
        (["a", "b", NO, NO], ["a", "b", NO, NO], 100),
        # 1 right of 2 said and of 3 there: precision 1/2, recall 1/3
        (["a", "b", "c", NO], ["a", NO, NO, "a"], 40),
        (["a", "b"], ["b", "a"], 0),
        ([NO, NO], [NO, NO], 0),
        ([NO, "a"], ["a", "a"], 200 / 3),  # rightly none says nothing, a false alarm counts
    ],
)
def test_micro_f1_by_hand(gold, predicted, expected):
    assert metrics.micro_f1(gold, predicted) == pytest.approx(expected)


def test_twins_count_only_when_both_are_right():
    labels_ = {"가": ["a", "b"], "나": ["a", NO], "다": ["a", "a"], "라": ["b"]}
    items = [{"sentence": s, "label": name} for s, names in labels_.items() for name in names]
    assert metrics.twin_accuracy(items, "++" + "+f" + "++" + "+") == 1 / 2
    assert metrics.twin_accuracy(items, "++" + "+." + "xx" + "m") == 1
    assert metrics.twin_accuracy(items, "+x" + "m." + "++" + "+") == 0
    assert metrics.twin_accuracy(items[4:], "+++") == 0


@pytest.mark.parametrize(
    ("label", "known", "expected"),
    [
        ("per:spouse", ["per:spouse"], "per:spouse"),
        ("per:children", ["per:children"], NO),
        ("per:children", ["per:children", "per:parents"], "per:parents"),
        ("org:founded", ["org:founded"], NO),
        (NO, ["per:spouse"], NO),
    ],
)
def test_what_is_right_after_a_swap(label, known, expected):
    assert metrics.label_after_swap(label, known) == expected


def test_the_type_baseline_reads_the_types_only():
    kinds = [("PER", "LOC"), ("PER", "LOC"), ("PER", "LOC"), ("ORG", "LOC")]
    labels_ = ["per:place_of_birth", "per:place_of_birth", NO, "org:place_of_headquarters"]
    known = [example(kinds=k, label=name) for k, name in zip(kinds, labels_, strict=True)]
    unseen = [example(kinds=k) for k in (("PER", "LOC"), ("ORG", "LOC"), ("LOC", "PER"))]
    expected = ["per:place_of_birth", "org:place_of_headquarters", NO]
    assert metrics.type_baseline(known, unseen) == expected


def test_auprc_by_hand():
    labels = [NO, "a"]
    gold = ["a", NO, "a", NO]
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    probabilities = np.stack([1 - scores, scores], axis=1)
    # "a": the points (recall, precision) are (0, 1), (1/2, 1), (1/2, 1/2), (1, 2/3), (1, 1/2):
    # 1/2 * 1 + 1/2 * (1/2 + 2/3) / 2 = 19/24. "no_relation" is the same list from below: ranks
    # none, a, none, a, so the same area.
    assert metrics.auprc(gold, probabilities, labels) == pytest.approx(100 * 19 / 24)
    assert metrics.auprc(gold, np.eye(2)[[1, 0, 1, 0]], labels) == 100


def test_auprc_leaves_out_labels_without_an_example():
    gold, eye = ["a", NO], np.eye(3)[[1, 0]]
    assert metrics.auprc(gold, eye, [NO, "a", "never"]) == 100


labels = st.sampled_from([NO, "a", "b", "c"])


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=30))
def test_outcomes_are_enough_for_the_f1(pairs):
    gold, predicted = zip(*pairs, strict=True)
    kinds = metrics.outcomes(gold, predicted)
    hits, total = np.sum([metrics.WEIGHTS[kind] for kind in kinds], axis=0)
    f1 = 100 * hits / total if total else 0
    assert f1 == pytest.approx(metrics.micro_f1(gold, predicted))


def test_paired_bootstrap_tells_a_difference_from_noise():
    rng = np.random.default_rng(0)

    def runs(rate, count=3, size=300):
        return ["".join(rng.choice(["+", "x"], size, p=[rate, 1 - rate])) for _ in range(count)]

    good, poor = runs(0.8), runs(0.5)
    difference, low, high = metrics.paired_bootstrap(good, poor, 300)
    assert 0 < low < difference < high and difference == pytest.approx(30, abs=5)
    difference, low, high = metrics.paired_bootstrap(good, good, 300)
    assert difference == 0 and low < 0 < high  # the seeds are drawn for each side
    assert metrics.paired_bootstrap(good[:1], good[:1], 50) == (0, 0, 0)


# --- entity-aware pretraining --------------------------------------------------------------------


def test_chunks_are_whole_names():
    sentence = "이순신 장군은 1545년 한성에서 태어났다."
    (chunks,) = pretraining.find_chunks([sentence])
    assert [sentence[slice(*chunk)] for chunk in chunks] == ["이순신 장군", "1545년", "한성"]


def test_rows_know_the_tokens_of_the_names(monkeypatch):
    found = {SENTENCE: [(0, 3), (5, 7)], "친구와 함께": []}
    monkeypatch.setattr(pretraining, "find_chunks", lambda sentences: [found[s] for s in sentences])
    (row,) = pretraining.chunk_rows(TOKENIZER, list(found))  # no name, no row
    assert [pieces(row)[slice(*chunk)] for chunk in row["chunks"]] == [["이", "##순신은"], ["조선"]]
    (row,) = pretraining.chunk_rows(TOKENIZER, [SENTENCE], max_length=4)
    assert pieces(row) == ["[CLS]", "이", "##순신은", "[SEP]"] and row["chunks"] == [(1, 3)]


chunk_lists = st.lists(st.tuples(st.integers(1, 18), st.integers(1, 4)), min_size=1, max_size=6)


@given(chunk_lists, st.floats(0, 1), st.integers(0, 99))
def test_entities_are_hidden_whole_and_controls_hide_as_many(chunks, share, seed):
    chunks = [(first, min(first + size, 19)) for first, size in chunks]
    row = {"input_ids": list(range(20)), "chunks": [c for c in chunks if c[0] < c[1]]}
    hidden = pretraining.choose_chunks(row, share, random.Random(seed))
    whole = [set(range(*chunk)) for chunk in row["chunks"] if set(range(*chunk)) <= {*hidden}]
    assert hidden and set.union(*whole) == {*hidden}
    assert len(hidden) <= max(share * 18, max(b - a for a, b in row["chunks"]))
    control = pretraining.choose_tokens(row, share, random.Random(seed))
    assert len(control) == len(hidden) and 0 < control[0] and control[-1] < 19


def test_masked_batch_keeps_the_rest():
    rows = [
        {"input_ids": [2, 7, 8, 9, 3], "chunks": [(1, 3)]},
        {"input_ids": [2, 7, 3], "chunks": [(1, 2)]},
    ]
    batch = pretraining.mask_batch(
        rows, pretraining.choose_chunks, 0.15, random.Random(0), TOKENIZER
    )
    mask = TOKENIZER.mask_token_id
    assert batch["input_ids"][0, :5].tolist() == [2, mask, mask, 9, 3]
    assert batch["labels"][0, :5].tolist() == [-100, 7, 8, -100, -100]
    assert batch["attention_mask"].sum(1).tolist() == [5, 3]
    assert batch["input_ids"][1, 3:].unique().tolist() == [TOKENIZER.pad_token_id]


def test_masked_positions_give_the_librarys_loss(tiny):
    from transformers import BertForMaskedLM

    ours = pretraining.MaskedPositionsLM(tiny).eval()
    reference = resources.load_model(BertForMaskedLM, tiny)
    rows = [{"input_ids": [2, 7, 8, 9, 3], "chunks": [(1, 3)]}]
    batch = pretraining.mask_batch(
        rows, pretraining.choose_chunks, 0.15, random.Random(0), TOKENIZER
    )
    torch.testing.assert_close(ours(**batch).loss, reference(**batch).loss)
    assert ours(**batch).logits.shape == (2, len(TOKENIZER))


def test_pretraining_learns_the_names_and_leads_into_training(tiny, tmp_path):
    sentences = [f"{name}은 서울이다." for name in NAMES] * 4
    rows = [{"input_ids": TOKENIZER(s)["input_ids"], "chunks": [(1, 3)]} for s in sentences]
    choose = pretraining.choose_chunks
    before = pretraining.recovered(rows, choose, tiny)
    pretraining.continue_pretraining(
        rows, choose, tmp_path / "more", tiny, steps=40, learning_rate=1e-2
    )
    assert pretraining.recovered(rows, choose, tmp_path / "more") > before
    model, _ = train(
        make_examples(16), "plain", tmp_path / "more", settings=replace(QUICK, epochs=1)
    )
    assert model.config.num_labels == 2
    with pytest.raises(CourseError, match="개체가 있는 문장이 하나도 없습니다"):
        pretraining.continue_pretraining([], choose, tmp_path / "none", tiny)


def test_rows_can_be_changed_before_predicting(tiny):
    model = resources.load_model(EntityBert, tiny, entity_variant="entity_embedding", num_labels=3)
    rows = encode_all(TOKENIZER, [example()], "entity_embedding", 64)
    hidden = [
        {**row, "input_ids": [TOKENIZER.mask_token_id] * len(row["input_ids"])} for row in rows
    ]
    assert not np.allclose(
        predict_rows(model, TOKENIZER, rows), predict_rows(model, TOKENIZER, hidden)
    )
