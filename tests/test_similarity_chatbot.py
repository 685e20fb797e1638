import copy
import io
import json
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from tokenizers.normalizers import Lowercase
from transformers import BertConfig, BertModel

from helpers import CourseError
from helpers import similarity_chatbot as sc
from helpers.__main__ import main
from helpers.korean_pretraining.wordpiece import train_wordpiece
from helpers.resources import DATA, ORDINARY_KOREAN, data_path
from helpers.similarity_chatbot.chatbot import ASK, UNKNOWN
from helpers.similarity_chatbot.encoder import POOLINGS, batches_of_one_length
from helpers.similarity_chatbot.training import ContrastiveTrainer, contrastive_loss

PAIRS = sc.read_table(data_path("chatbot-pairs"), "id", "question", "answer")
QUESTIONS = [pair["question"] for pair in PAIRS]
MIXED = ["안녕?", "이름이 뭐야? " * 9, "", "👍", "저녁에 커피를 마셔도 돼?", "몇 살이야?"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n".join([*ORDINARY_KOREAN, *QUESTIONS]), encoding="utf-8")
    return train_wordpiece(file, vocab_size=1200)


def tiny(tokenizer, seed=0, **config):
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 64, "max_position_embeddings": 64, "initializer_range": 0.2}
    return BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=0, **(sizes | config)))


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return sc.SentenceEncoder(tiny(tokenizer), tokenizer)


@pytest.fixture
def chatbot(encoder):
    return sc.SimilarityChatbot(["안녕?", "이름이 뭐야?", "몇 살이야?"], list("가나다"), encoder)


# --- the encoder ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bf16, tolerance", [(False, 1e-5), (True, 0.05)])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_are_those_of_transformers_one_by_one(tokenizer, pooling, bf16, tolerance):
    encoder = sc.SentenceEncoder(tiny(tokenizer), tokenizer, pooling, bf16=bf16)
    vectors = encoder.encode(MIXED)
    assert vectors.dtype == np.float32 and vectors.shape == (len(MIXED), 32)
    for sentence, vector in zip(MIXED, vectors, strict=True):
        inputs = tokenizer(sentence, truncation=True, max_length=64, return_tensors="pt")
        with torch.no_grad():
            output = encoder.model(**inputs)
        hidden = output.last_hidden_state[0]
        expected = {"mean": hidden.mean(0), "cls": hidden[0], "pooler": output.pooler_output[0]}
        np.testing.assert_allclose(vector, expected[pooling].numpy(), atol=tolerance)


@pytest.mark.parametrize("bf16", [False, None])  # None: as every learner has it
def test_batch_size_and_company_do_not_change_a_vector(bf16):
    real = sc.load_sentence_encoder()  # a tiny model is too small to be rounded differently
    encoder = sc.SentenceEncoder(real.model, real.tokenizer, bf16=bf16)
    alone = np.concatenate([encoder.encode([question]) for question in QUESTIONS[:60]])
    for batch_size in (1, 2, 7, 64):
        together = encoder.encode(QUESTIONS[:60], batch_size=batch_size)
        np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(QUESTIONS[:60][::-1])[::-1], alone, atol=1e-5)


def test_padding_does_not_change_a_pooled_vector(tokenizer):
    encoder = sc.SentenceEncoder(tiny(tokenizer).eval(), tokenizer)
    sentences = [sentence for sentence in MIXED if len(sentence) < 50]
    with torch.no_grad():
        vectors = encoder.pool(tokenizer(sentences, padding=True, return_tensors="pt"))
    tokenizer.backend_tokenizer.no_padding()
    alone = sc.SentenceEncoder(encoder.model, tokenizer, bf16=False).encode(sentences)
    np.testing.assert_allclose(vectors.numpy(), alone, atol=1e-5)


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 5))
def test_a_batch_holds_one_length_and_every_row_comes_once(lengths, batch_size):
    batches = batches_of_one_length(lengths, batch_size)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len({lengths[row] for row in batch}) == 1 for batch in batches)
    assert all(len(batch) <= batch_size for batch in batches)
    fewest = sum(-(-lengths.count(length) // batch_size) for length in set(lengths))
    assert len(batches) == fewest


def test_odd_input(encoder):
    assert encoder.encode([]).shape == (0, 32)
    assert encoder.readable([]).shape == (0,)
    assert np.isfinite(encoder.encode(["", " \n", "😀" * 500, "가" * 100_000, "반쪽 \ud83d"])).all()
    long = "안녕 하세요 " * 5000
    np.testing.assert_array_equal(encoder.encode([long]), encoder.encode([long[:2000]]))
    assert encoder.encode(iter(["안녕?"])).shape == (1, 32)
    assert encoder.readable(["안녕?", "", "  ", "😀", "ﷺ"]).tolist() == [True] + [False] * 4


@pytest.mark.parametrize(
    "wrong, part",
    [
        ("안녕?", "리스트로"),
        (None, "리스트로"),
        (["안녕?", 3], "2번째는 int"),
        (["안녕?", "", float("nan")], "3번째는 float"),
    ],
)
def test_what_is_not_a_list_of_strings_is_refused(encoder, wrong, part):
    with pytest.raises(CourseError, match=part):
        encoder.encode(wrong)


def test_unusable_encoders_are_refused(tokenizer):
    with pytest.raises(CourseError, match="풀링은 없습니다"):
        sc.SentenceEncoder(tiny(tokenizer), tokenizer, "max")
    with pytest.raises(CourseError, match="임베딩은 7행"):
        model = tiny(tokenizer)
        model.resize_token_embeddings(7)
        sc.SentenceEncoder(model, tokenizer)
    with pytest.raises(CourseError, match="풀러"):
        bare = BertModel(tiny(tokenizer).config, add_pooling_layer=False)
        sc.SentenceEncoder(bare, tokenizer, "pooler")


def test_fingerprint_follows_what_changes_vectors_and_nothing_else(tokenizer, encoder):
    before = encoder.fingerprint()
    encoder.encode(["잘라 낼 만큼 긴 문장 " * 40])
    assert encoder.fingerprint() == before
    assert sc.SentenceEncoder(tiny(tokenizer), tokenizer).fingerprint() == before
    assert sc.SentenceEncoder(tiny(tokenizer), tokenizer, "cls").fingerprint() != before
    assert sc.SentenceEncoder(tiny(tokenizer), tokenizer, max_length=9).fingerprint() != before
    changed = copy.deepcopy(encoder)
    changed.tokenizer.backend_tokenizer.normalizer = Lowercase()
    assert changed.fingerprint() != before
    changed = copy.deepcopy(encoder)
    changed.model.encoder.layer[1].output.dense.bias.data[3] += 1e-3
    assert changed.fingerprint() != before


def test_saved_encoder_loads_in_half_the_size_with_nearly_its_vectors(encoder, tmp_path):
    encoder.save(tmp_path)
    loaded = sc.load_sentence_encoder(tmp_path)
    assert not list(tmp_path.glob("*.bin"))
    assert (tmp_path / "model.safetensors").stat().st_size < 2.2 * encoder.model.num_parameters()
    assert loaded.model.dtype == encoder.model.dtype == torch.float32
    np.testing.assert_allclose(loaded.encode(MIXED), encoder.encode(MIXED), atol=0.02)


# --- the chatbot ---------------------------------------------------------------------------------


def test_search_is_the_exact_cosine_order(encoder):
    chatbot = sc.SimilarityChatbot(QUESTIONS, [p["answer"] for p in PAIRS], encoder)
    queries = ["이름 좀 알려 줘", "커피를 마셔도 돼?", "배고파", "시험이 걱정돼요"]
    stored, asked = encoder.encode(QUESTIONS), encoder.encode(queries)
    for vector, matches in zip(asked, chatbot.search(queries, top_k=60), strict=True):
        cosines = torch.cosine_similarity(*map(torch.tensor, (stored, vector[None]))).numpy()
        np.testing.assert_allclose(
            [m.score for m in matches], np.sort(cosines)[::-1][:60], atol=1e-5
        )
        for match in matches:
            assert match.score == pytest.approx(cosines[match.row], abs=1e-5)
            pair = PAIRS[match.row]
            assert (match.question, match.answer) == (pair["question"], pair["answer"])


def given_vectors(**vectors):
    """An encoder that knows the vectors of a few sentences."""
    return SimpleNamespace(
        encode=lambda sentences: np.array([vectors[s] for s in sentences], np.float32),
        readable=lambda sentences: np.ones(len(sentences), bool),
    )


def test_search_is_best_first_and_of_equals_the_first_for_every_top_k():
    scores = np.random.default_rng(0).integers(0, 4000, size=20_000) / 4000  # some occur often
    names = [str(row) for row in range(len(scores))]
    vectors = np.stack([scores, np.sqrt(1 - scores**2)], axis=1).astype(np.float32)
    chatbot = sc.SimilarityChatbot(names, names, given_vectors(query=[3.0, 0.0]), vectors=vectors)
    best = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    for top_k in (1, 2, 5, 100, 20_000):
        (matches,) = chatbot.search(["query"], top_k)
        assert [match.row for match in matches] == best[:top_k]


def test_search_with_few_questions_and_with_none_asked(chatbot):
    assert len(chatbot.search(["안녕?"], top_k=50)[0]) == 3
    assert chatbot.search([]) == []
    with pytest.raises(CourseError, match="top_k"):
        chatbot.search(["안녕?"], top_k=0)


def test_answer_below_the_threshold_says_so(chatbot):
    reply = chatbot.answer("이름이 뭐야?")
    assert reply[:2] == ("나", "이름이 뭐야?") and reply.known
    assert reply.score == pytest.approx(1, abs=1e-5)
    chatbot.threshold = reply.score
    assert chatbot.answer("이름이 뭐야?").known
    chatbot.threshold = 1.1
    reply = chatbot.answer("이름이 뭐야?")
    assert (reply.answer, reply.question, reply.known) == (UNKNOWN, "이름이 뭐야?", False)


@pytest.mark.parametrize("query", ["", " ", "😀😀", "ﷺ"])
def test_what_cannot_be_read_is_never_answered(encoder, query):
    chatbot = sc.SimilarityChatbot(["안녕?", "😀"], ["가", "나"], encoder, threshold=-1.0)
    reply = chatbot.answer(query)
    assert not reply.known and reply.score == 0


def test_between_the_thresholds_it_asks_back_with_the_nearest_questions():
    def at(degrees):
        return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]

    encoder = given_vectors(
        가=at(0), 나=at(25), 다=at(60), 라=at(90), near=at(10), far=at(-50), hopeless=at(-100)
    )
    chatbot = sc.SimilarityChatbot(list("가나다라"), list("1234"), encoder, 0.9, ask_from=0.6)
    assert chatbot.answer("near") == ("1", "가", pytest.approx(np.cos(np.radians(10))), True, ())
    reply = chatbot.answer("far")
    assert (reply.answer, reply.known, reply.suggestions) == (ASK, False, ("가", "나", "다"))
    reply = chatbot.answer("hopeless")
    assert (reply.answer, reply.known, reply.suggestions) == (UNKNOWN, False, ())
    chatbot.ask_from = reply.score  # the zone begins at its threshold
    assert chatbot.answer("hopeless").answer == ASK
    chatbot.ask_from = None  # as before there were three zones
    assert chatbot.answer("far").answer == UNKNOWN


def test_thresholds_are_learned_from_both_kinds():
    vectors = {str(s): [s / 100, np.sqrt(1 - (s / 100) ** 2)] for s in range(10, 100, 10)}
    encoder = given_vectors(right=[1.0, 0.0], other=[-1.0, 0.0], **vectors)
    chatbot = sc.SimilarityChatbot(["right", "other"], ["가", "나"], encoder)
    asked, rows = ["90", "80", "70", "60", "50"], [0, 0, 0, 1, 0]
    learned = chatbot.learn_thresholds(asked, rows, ["10", "20", "30", "80", "90"])
    # Below .65 lies a mistake; half of the hopeless ones lies below .3.
    assert learned == (chatbot.ask_from, chatbot.threshold) == pytest.approx((0.3, 0.65), abs=1e-6)
    chatbot.learn_thresholds(asked, rows, ["90"] * 3)
    assert chatbot.ask_from == chatbot.threshold  # never above it


@pytest.mark.parametrize("questions, answers", [([], []), (["안녕?"], [])])
def test_pairs_must_be_pairs(encoder, questions, answers):
    with pytest.raises(CourseError, match="질문마다 답을"):
        sc.SimilarityChatbot(questions, answers, encoder)


def test_index_is_saved_and_loaded_without_encoding(chatbot, encoder, tmp_path, monkeypatch):
    chatbot.threshold, chatbot.ask_from = 0.25, 0.125
    chatbot.save(tmp_path / "index")
    files = {path.name for path in (tmp_path / "index").iterdir()}
    assert files == {"vectors.safetensors", "index.json"}
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "encode", None)
        loaded = sc.SimilarityChatbot.load(tmp_path / "index", encoder)
    assert (loaded.threshold, loaded.ask_from) == (0.25, 0.125)
    assert loaded.search(["몇 살?"]) == chatbot.search(["몇 살?"])


def test_another_encoder_s_index_is_refused(chatbot, tokenizer, tmp_path):
    chatbot.save(tmp_path)
    for other in (
        sc.SentenceEncoder(tiny(tokenizer, seed=1), tokenizer),
        sc.SentenceEncoder(tiny(tokenizer), tokenizer, "cls"),
    ):
        with pytest.raises(CourseError, match="다른 인코더"):
            sc.SimilarityChatbot.load(tmp_path, other)


@pytest.mark.parametrize("damage", ["missing", "json", "key", "vectors", "length"])
def test_damaged_index_is_refused(chatbot, encoder, tmp_path, damage):
    chatbot.save(tmp_path)
    index, vectors = tmp_path / "index.json", tmp_path / "vectors.safetensors"
    if damage == "missing":
        vectors.unlink()
    elif damage == "json":
        index.write_text(index.read_text(encoding="utf-8")[:50], encoding="utf-8")
    elif damage == "key":
        index.write_text("[]", encoding="utf-8")
    elif damage == "vectors":
        vectors.write_bytes(vectors.read_bytes()[:100])
    else:
        save_file({"vectors": chatbot.vectors[:2]}, vectors)
    with pytest.raises(CourseError, match="다시 만들어 저장하십시오"):
        sc.SimilarityChatbot.load(tmp_path, encoder)


# --- measuring -----------------------------------------------------------------------------------


@given(st.data())
def test_ranks_are_places_in_the_sorted_scores(data):
    columns = data.draw(st.integers(1, 6))
    score = st.sampled_from([-1.0, 0.0, 0.25, 0.5])
    scores = data.draw(st.lists(st.lists(score, min_size=columns, max_size=columns), min_size=1))
    targets = [data.draw(st.integers(0, columns - 1)) for _ in scores]
    ranks = sc.target_ranks(np.array(scores), targets)
    for row, target, rank in zip(scores, targets, ranks, strict=True):
        worst = sorted(row, reverse=True)[::-1].index(row[target])  # behind its equals
        assert rank == columns - worst


def test_broken_scores_are_no_success():
    assert sc.target_ranks(np.full((1, 4), np.nan), [0]).tolist() == [4]


def test_measures_by_hand():
    ranks = sc.target_ranks(np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1], [0, 0, 0]]), [2, 0, 1])
    assert ranks.tolist() == [2, 1, 3]
    assert sc.recall_at_k(ranks, 1) == pytest.approx(1 / 3)
    assert sc.recall_at_k(ranks, 2) == pytest.approx(2 / 3)
    assert sc.mean_reciprocal_rank(ranks) == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)
    assert sc.careful_threshold([0.9, 0.6, 0.5], [1, 1, 0]) == pytest.approx(0.55)
    assert sc.unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


scored = st.lists(st.tuples(st.floats(0, 1, width=16), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=60)
@given(scored, st.sampled_from([0.0, 0.02, 0.3]))
def test_no_other_threshold_answers_more_with_so_few_mistakes(answerable, wrong):
    def answers(t):
        return [right for score, right in answerable if score >= t]

    def allowed(t):
        return answers(t).count(False) <= wrong * len(answers(t))

    best = sc.careful_threshold(*zip(*answerable, strict=True), wrong)
    assert allowed(best)
    others = [t for t in np.linspace(-0.01, 1.001, 103) if allowed(t)]
    assert all(len(answers(t)) <= len(answers(best)) for t in others)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_one_s_own_is_measured(encoder, tmp_path):
    questions = write(tmp_path / "q.tsv", "\ufeffid\tquestion\nb\t안녕?\na\t몇 살이야?\n")
    asked = "query,id\n안녕?,b\n몇 살이야?,a\n몇 살이야?,b\n"
    queries = write(tmp_path / "queries.csv", asked)
    result = sc.evaluate_retrieval(questions, queries, encoder)
    assert result == {
        "recall_at_1": pytest.approx(2 / 3),
        "recall_at_5": 1,
        "mrr": pytest.approx(5 / 6),
        "n": 3,
    }


def test_many_queries_are_measured_in_parts(encoder, tmp_path):
    questions = write(tmp_path / "q.tsv", 'id\tquestion\na\t"안녕?\nb\t몇 살이야?\n')
    queries = write(tmp_path / "queries.tsv", "query\tid\n" + '"안녕?\ta\n' * 1000 + "안녕?\tb\n")
    result = sc.evaluate_retrieval(questions, queries, encoder)
    assert result["n"] == 1001 and result["recall_at_1"] == pytest.approx(1000 / 1001)


def test_crowd_begins_with_the_real_and_keeps_their_company():
    real = np.random.default_rng(1).standard_normal((30, 64)).astype(np.float32)
    made = sc.crowd(real, 2000)
    assert made.shape == (2000, 64) and made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(made[:30], sc.unit(real))
    nearest = (made[30:] @ made[:30].T).max(axis=1)
    assert 0.6 < nearest.mean() < 0.99
    assert np.linalg.matrix_rank(made) == 64  # the noise leaves the span of the thirty
    np.testing.assert_array_equal(made, sc.crowd(real, 2000))
    assert sc.crowd(real, 7).shape == (7, 64)


def test_search_latency_counts_what_the_graph_index_finds():
    vectors = sc.crowd(np.random.default_rng(2).standard_normal((50, 32)), 3000)
    rows = exact, narrow, wide = sc.search_latency(vectors, vectors[:40])
    assert [row["method"] for row in rows] == ["exact", "usearch-64", "usearch-512"]
    assert all(row["vectors"] == 3000 for row in rows)
    assert wide["recall"] > 0.95  # the graph is built by several threads, never twice the same
    assert wide["recall"] > 0.99
    assert exact["build_seconds"] == 0 < narrow["build_seconds"]
    assert all(0 < row["median_ms"] <= row["p95_ms"] for row in rows)
    assert narrow["median_ms"] < wide["median_ms"]


@pytest.mark.parametrize(
    "questions, queries, part",
    [
        (None, "query\tid\n가\ta\n", "읽을 수 없습니다"),
        ("id\tquestion\n", "query\tid\n가\ta\n", "행이 없습니다"),
        ("id,question\na,가\n", "query\tid\n가\ta\n", "2번째 줄에 id 열이"),
        ("id\tquestion\na\t가\nb\n", "query\tid\n가\ta\n", "3번째 줄에 question 열이"),
        ("id\tquestion\na\t가\na\t나\n", "query\tid\n가\ta\n", "같은 id"),
        ("id\tquestion\na\t가\n", "query\tid\n가\tz\n", "'z'이\\(가\\)"),
    ],
)
def test_unusable_tables_get_one_sentence(encoder, tmp_path, questions, queries, part):
    paths = [tmp_path / "questions.tsv", tmp_path / "queries.tsv"]
    for path, text in zip(paths, (questions, queries), strict=True):
        if text is not None:
            write(path, text)
    with pytest.raises(CourseError, match=part):
        sc.evaluate_retrieval(*paths, encoder)


def test_a_table_that_is_no_text_gets_one_sentence(tmp_path):
    (tmp_path / "x.tsv").write_bytes("id\tquestion\n1\t안녕\n".encode("euc-kr"))
    with pytest.raises(CourseError, match="UTF-8"):
        sc.read_table(tmp_path / "x.tsv")


# --- training ------------------------------------------------------------------------------------


def synonyms():
    """Groups whose sentences share no word: only training can bring them together."""
    return [["안녕?", "커피"], ["몇 살이야?", "우산"], ["이름이 뭐야?", "버스"], ["배고파", "시간"]]


def partner_rank(encoder):
    first, second = zip(*synonyms(), strict=True)
    scores = sc.unit(encoder.encode(second)) @ sc.unit(encoder.encode(first)).T
    return sc.mean_reciprocal_rank(sc.target_ranks(scores, range(len(first))))


def test_supervised_training_brings_partners_together(encoder):
    before = encoder.fingerprint()
    trained = sc.train_contrastive(encoder, synonyms(), steps=40, learning_rate=3e-3, dropout=0)
    fresh = trained.fingerprint()
    assert partner_rank(trained) == 1 > partner_rank(encoder)
    assert encoder.fingerprint() == before  # the original is untouched
    dropouts = [m.p for m in trained.model.modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts and not any(dropouts)
    once = trained.encode(QUESTIONS[:20], batch_size=1)
    np.testing.assert_allclose(trained.encode(QUESTIONS[:20]), once, atol=1e-5)
    assert trained.fingerprint() == fresh  # training left no padding in the tokenizer
    assert trained.model.forward.__func__ is BertModel.forward  # no wrapper is left on it


def test_unsupervised_training_spreads_vectors_and_repeats_for_a_seed(encoder):
    groups = [[question] for question in QUESTIONS[:64]]
    trained, again, other = (
        sc.train_contrastive(encoder, groups, steps=20, learning_rate=2e-3, seed=seed)
        for seed in (3, 3, 4)
    )
    assert trained.fingerprint() == again.fingerprint() != encoder.fingerprint()
    assert other.fingerprint() != trained.fingerprint()

    def mean_cosine(encoder):
        vectors = sc.unit(encoder.encode(QUESTIONS[64:128]))
        return (vectors @ vectors.T).mean()

    assert mean_cosine(trained) < mean_cosine(encoder)


def test_teacher_gives_its_directions(encoder):
    rng = np.random.default_rng(0)
    sentences = QUESTIONS[:8]
    teacher = {s: rng.standard_normal(32).astype(np.float32) for s in sentences[:6]}
    trained = sc.train_contrastive(
        encoder,
        [[sentence] for sentence in sentences],
        steps=60,
        learning_rate=3e-3,
        dropout=0,
        teacher=teacher,
        teacher_weight=20,
    )
    wanted = sc.unit(np.stack(list(teacher.values())))
    taught = (sc.unit(trained.encode(sentences[:6])) * wanted).sum(axis=1)
    untaught = (sc.unit(encoder.encode(sentences[:6])) * wanted).sum(axis=1)
    assert taught.min() > 0.7 > untaught.max()


def test_contrastive_loss_by_hand():
    first, second = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    scores = np.array([[1, 0.6], [0, 0.8]]) / 0.5
    rows = [np.log(np.exp(scores[i]).sum()) - scores[i, i] for i in range(2)]
    columns = [np.log(np.exp(scores[:, i]).sum()) - scores[i, i] for i in range(2)]
    loss = contrastive_loss(first, second, 0.5).item()
    assert loss == pytest.approx(np.mean(rows + columns), abs=1e-6)


def test_the_trainer_adds_the_weighted_teacher_to_the_contrast():
    vectors = torch.tensor([[2.0, 1.0], [1.0, 0.5], [0.0, 1.0], [3.0, 4.0]])
    teacher = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])  # of two sentences
    trainer = SimpleNamespace(
        encoder=SimpleNamespace(pool=lambda batch: batch["vectors"]),
        teacher_weight=3,
    )
    inputs = {"vectors": vectors, "teacher": teacher, "partners": torch.tensor([[0, 1], [2, 3]])}
    loss = ContrastiveTrainer.compute_loss(trainer, None, inputs)
    contrast = contrastive_loss(vectors[[0, 2]], vectors[[1, 3]])
    distance = 1 - (2 / np.sqrt(5) + 1 / np.sqrt(2)) / 2
    assert loss.item() == pytest.approx(contrast.item() + 3 * distance, abs=1e-6)


@pytest.mark.parametrize("groups", [[], [["안녕?"]], [["안녕?"], []]])
def test_training_needs_two_groups(encoder, groups):
    with pytest.raises(CourseError, match="무리"):
        sc.train_contrastive(encoder, groups, steps=1)


def test_mistakes_become_positives_and_hard_negatives():
    encoder = given_vectors(
        가=[1.0, 0.0], 나=[0.0, 1.0], 다=[-1.0, 0.0], like_나=[0.1, 0.9], trap=[-0.9, 0.1]
    )
    chatbot = sc.SimilarityChatbot(list("가나다"), list("123"), encoder)
    groups = sc.groups_from_mistakes(chatbot, {"like_나": "가"}, ["trap"])
    assert groups == [["가", "like_나"], ["나"], ["다"], ["trap"]]
    chatbot = sc.SimilarityChatbot(list("가나다"), list("123"), encoder)
    assert sc.groups_from_mistakes(chatbot, {"like_나": "나"}, []) == [["나", "like_나"]]
    with pytest.raises(CourseError, match="저장한 질문에 없습니다"):
        sc.groups_from_mistakes(chatbot, {"like_나": "라"}, [])


def test_an_encoder_learns_from_its_mistakes(encoder):
    stored = QUESTIONS[:12]
    chatbot = sc.SimilarityChatbot(stored, stored, encoder)
    mine = {"비밀 암호는 만능 열쇠": stored[1], "초록 사과 세 개": stored[5]}
    groups = sc.groups_from_mistakes(chatbot, mine, ["보라색 코끼리"])
    taught = sc.train_contrastive(encoder, groups, steps=60, learning_rate=2e-3)
    after = sc.SimilarityChatbot(stored, stored, taught)
    assert [after.search([s], 1)[0][0].question for s in mine] == list(mine.values())
    trap = (bot.search(["보라색 코끼리"], 1)[0][0].score for bot in (chatbot, after))
    assert next(trap) > next(trap)


# --- the terminal, the data, the shipped encoder -------------------------------------------------


def test_talking_ends_politely(chatbot, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("이름이 뭐야?\n\n   \n몇 살이야?"))
    sc.talk(chatbot)
    assert capsys.readouterr().out.splitlines() == [
        "나",
        "    [1.000] 이름이 뭐야?",
        "다",
        "    [1.000] 몇 살이야?",
        "안녕히 가세요.",
    ]
    monkeypatch.setattr("builtins.input", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    sc.talk(chatbot)
    assert capsys.readouterr().out == "안녕히 가세요.\n"


def test_talking_takes_a_number_where_it_asked_back(chatbot, monkeypatch, capsys):
    chatbot.threshold, chatbot.ask_from = 0.999, -1.0
    lines = ["이름이 무엇이야?", "2", "2"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
    offered = chatbot.answer(lines[0]).suggestions
    answers = dict(zip(chatbot.questions, chatbot.answers, strict=True))
    sc.talk(chatbot)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == ASK and out[1].endswith(f"] 1. {offered[0]}")
    assert [line.strip() for line in out[2:4]] == [f"2. {offered[1]}", f"3. {offered[2]}"]
    assert out[4:6] == [answers[offered[1]], f"    [1.000] {offered[1]}"]
    assert out[6] != answers[offered[1]]  # after an answer a number is a query like any other


def command(monkeypatch, capsys, *arguments, typed=""):
    monkeypatch.setattr(sys, "argv", ["helpers", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    code = main()
    return code, *capsys.readouterr()


def test_commands_work_from_a_pipe(encoder, tmp_path, monkeypatch, capsys):
    encoder.save(tmp_path / "encoder")
    pairs = write(tmp_path / "pairs.tsv", "id\tquestion\tanswer\n1\t안녕?\t반가워요.\n")
    asked = write(tmp_path / "queries.tsv", "query\tid\n안녕?\t1\n")
    capsys.readouterr()
    run = partial(command, monkeypatch, capsys)
    options = ["--encoder", tmp_path / "encoder", "--questions", pairs]
    code, out, _ = run("chat", *options, "--threshold", 0.5, typed="안녕?\n")
    assert code == 0
    assert out.splitlines() == ["반가워요.", "    [1.000] 안녕?", "안녕히 가세요."]
    talking = []
    with monkeypatch.context() as patch:
        patch.setattr(sc, "talk", talking.append)
        run("chat", *options, "--threshold", 0.9)
    assert talking[0].threshold == 0.9 and talking[0].ask_from > 0  # it still asks back
    code, out, _ = run("evaluate", "similarity_chatbot", *options, "--queries", asked)
    assert code == 0
    assert json.loads(out) == {"recall_at_1": 1, "recall_at_5": 1, "mrr": 1, "n": 1}
    code, out, error = run("evaluate", "similarity_chatbot", *options, "--queries", "none.tsv")
    assert (code, out) == (2, "") and error.startswith("오류: 'none.tsv' 파일을")


def test_chat_knows_the_course(encoder, tmp_path, monkeypatch, capsys):
    encoder.save(tmp_path)
    _, out, _ = command(monkeypatch, capsys, "chat", "--encoder", tmp_path, typed="이름이 뭐야?\n")
    assert out.splitlines()[-3:] == [
        "저는 버티예요. 언어 모델 BERT에서 따온 이름이에요.",
        "    [1.000] 이름이 뭐야?",
        "안녕히 가세요.",
    ]


def course_queries():
    folder = data_path("chatbot-pairs").parent
    rows = {pair["id"]: row for row, pair in enumerate(PAIRS)}
    queries = sc.read_table(folder / "queries.tsv", "query", "id")
    return [q["query"] for q in queries], [rows[q["id"]] for q in queries]


def test_queries_belong_to_pairs_and_copy_none():
    def bare(text):
        return "".join(filter(str.isalnum, text))

    queries, rows = course_queries()
    assert len(QUESTIONS) >= 400 and len(queries) >= 200
    assert not {bare(question) for question in QUESTIONS} & {bare(query) for query in queries}
    assert len(set(QUESTIONS)) == len(QUESTIONS)


def test_shipped_encoder_beats_character_tf_idf():
    queries, rows = (part[::4] for part in course_queries())
    tf_idf = TfidfVectorizer(analyzer="char", ngram_range=(2, 4)).fit(QUESTIONS)
    scores = (tf_idf.transform(queries) @ tf_idf.transform(QUESTIONS).T).toarray()
    baseline = sc.recall_at_k(sc.target_ranks(scores, rows), 1)
    chatbot = sc.SimilarityChatbot(QUESTIONS, QUESTIONS, sc.load_sentence_encoder())
    assert sc.recall_at_k(sc.target_ranks(chatbot.scores(queries), rows), 1) > baseline + 0.05


@pytest.mark.parametrize("source", ["the embedded folder", "a saved encoder"])
def test_sentence_transformers_reads_the_folder_and_gives_the_same_vectors(tmp_path, source):
    encoder = sc.load_sentence_encoder("mini-sentence-ko")
    encoder.bf16 = False
    folder = DATA / "models" / "mini-sentence-ko"
    if source == "a saved encoder":
        folder = tmp_path
        encoder.pooling = "cls"
        encoder.save(folder)
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True).float()
    sentences = [
        "배송이 언제 와요?",
        "환불은 어떻게 하나요? " * 30,
        "이순신은 조선 중기의 무신이다.",
    ]
    difference = theirs.encode(sentences) - encoder.encode(sentences)
    assert abs(difference).max() < 1e-4
