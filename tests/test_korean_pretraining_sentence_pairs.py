import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_text import number_tokenizer, write_korean, write_numbers

from helpers import CourseError
from helpers.korean_pretraining import sentence_pairs
from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs
from helpers.korean_pretraining.wordpiece import train_wordpiece

CLS, SEP, FIRST = 2, 3, 5  # ids; the words w0, w1 ... have 5, 6 ...
TOKENIZER = number_tokenizer(1200)


def halves(example: dict) -> tuple[list[int], list[int]]:
    """Take `[CLS] A [SEP] B [SEP]` apart, by the place of the separators and by token types alike."""
    ids, types = example["input_ids"], example["token_type_ids"]
    assert ids[0] == CLS and ids[-1] == SEP and ids.count(CLS) == 1 and ids.count(SEP) == 2
    border = ids.index(SEP) + 1
    assert types == [0] * border + [1] * (len(ids) - border)
    return ids[1 : border - 1], ids[border:-1]


def owners(documents: list[list[int]]) -> list[int]:
    """Say for each word to which document it belongs."""
    return [i for i, lengths in enumerate(documents) for _ in range(sum(lengths))]


def check_examples(pairs, documents: list[list[int]], block_size: int) -> None:
    """Hold every example against BERT's procedure, and all of them against the text."""
    owner = owners(documents)
    used = []
    for example in pairs:
        a, b = halves(example)
        assert a and b and len(example["input_ids"]) <= block_size
        assert a == list(range(a[0], a[0] + len(a)))
        assert b == list(range(b[0], b[0] + len(b)))
        of_a, of_b = ({owner[i - FIRST] for i in half} for half in (a, b))
        assert len(of_a) == len(of_b) == 1
        if example["next_sentence_label"] == 0:
            assert of_a == of_b and b[0] == a[-1] + 1
        else:
            assert example["next_sentence_label"] == 1 and of_a != of_b
        used += a if example["next_sentence_label"] else a + b
    # In order, nothing left out, nothing twice: what a random B displaced comes in the next example.
    assert used == list(range(FIRST, FIRST + len(owner)))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """600 documents of 1 to 9 sentences of 1 to 12 words."""
    documents = [[(7 * i + 5 * j) % 12 + 1 for j in range(i % 9 + 1)] for i in range(600)]
    path = write_numbers(tmp_path_factory.mktemp("pairs") / "many.txt", documents)
    tokenizer = number_tokenizer(len(owners(documents)))
    return path, documents, tokenizer, build_sentence_pairs(path, tokenizer, 32)


lengths = st.one_of(st.integers(1, 6), st.integers(1, 60))
layouts = st.lists(st.lists(lengths, min_size=1, max_size=6), min_size=2, max_size=5)


@given(
    documents=layouts,
    block_size=st.integers(8, 40),
    seed=st.integers(0, 2**40),
    short=st.sampled_from([0.0, 0.1, 1.0]),
    random_next=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(deadline=None, max_examples=60)
def test_any_text_any_setting(tmp_path_factory, documents, block_size, seed, short, random_next):
    path = write_numbers(tmp_path_factory.getbasetemp() / "numbers.txt", documents)
    pairs = build_sentence_pairs(
        path, TOKENIZER, block_size, seed=seed, short_seq_prob=short, random_next_prob=random_next
    )
    check_examples(pairs, documents, block_size)
    if random_next == 1:
        assert set(pairs["next_sentence_label"]) == {1}


def test_structure_of_many_pairs(many):
    path, documents, _, pairs = many
    assert pairs.column_names == ["input_ids", "token_type_ids", "next_sentence_label"]
    check_examples(pairs, documents, 32)


def test_half_of_the_pairs_are_random(many):
    labels = many[3]["next_sentence_label"]
    assert len(labels) > 1000
    assert 0.46 < sum(labels) / len(labels) < 0.54


def test_one_pair_in_ten_is_short(tmp_path):
    path = write_numbers(tmp_path / "long.txt", [[5] * 1200, [5] * 1200])
    tokenizer = number_tokenizer(12000)
    lengths = {}
    for probability in (0.0, 0.1):
        pairs = build_sentence_pairs(path, tokenizer, 64, short_seq_prob=probability)
        whole = [len(ids) == 64 for ids in pairs["input_ids"]]
        # Of the short ones one in 60 is as long as the others; the ends of the documents are short anyhow.
        lengths[probability] = 1 - sum(whole) / len(whole)
    assert lengths[0.0] < 0.04
    assert 0.06 < lengths[0.1] - lengths[0.0] < 0.15


def test_the_border_between_a_and_b_is_random(many):
    ends = [len(halves(example)[0]) for example in many[3] if example["next_sentence_label"] == 0]
    assert len(set(ends)) > 15


def test_sentence_longer_than_the_block(tmp_path):
    documents = [[300], [200, 3]]
    path = write_numbers(tmp_path / "long.txt", documents)
    pairs = build_sentence_pairs(path, TOKENIZER, 16, short_seq_prob=0)
    check_examples(pairs, documents, 16)
    assert set(pairs["next_sentence_label"]) == {0, 1}
    assert [len(ids) for ids in pairs["input_ids"]].count(16) > 0.6 * len(pairs)


def test_random_b_is_cut_at_either_end(tmp_path):
    # B comes from a document of one sentence of 100 words, and never fits whole.
    path = write_numbers(tmp_path / "cut.txt", [[4] * 200, [100]])
    pairs = build_sentence_pairs(path, TOKENIZER, 32, short_seq_prob=0, random_next_prob=1)
    first, last = FIRST + 800, FIRST + 899
    b = [halves(example)[1] for example in pairs if halves(example)[0][0] < first]
    assert len(b) > 50
    assert any(half[0] > first for half in b) and any(half[-1] < last for half in b)
    assert len({half[0] for half in b}) > 20


def test_random_b_starts_at_any_sentence_of_any_other_document(tmp_path):
    path = write_numbers(tmp_path / "ten.txt", [[10] * 10] * 10)
    pairs = build_sentence_pairs(path, TOKENIZER, 16, random_next_prob=1)
    drawn = {(halves(example)[1][0] - FIRST) // 10 for example in pairs}
    assert len(pairs) > 100 and len(drawn) > 50
    assert {sentence % 10 for sentence in drawn} == set(range(10))
    assert {sentence // 10 for sentence in drawn} == set(range(10))


def test_documents_of_one_sentence_get_both_labels(tmp_path):
    documents = [[6]] * 200
    path = write_numbers(tmp_path / "alone.txt", documents)
    pairs = build_sentence_pairs(path, TOKENIZER, 32)
    labels = pairs["next_sentence_label"]
    assert 0.35 < sum(labels) / len(labels) < 0.65
    check_examples(pairs, documents, 32)


def test_documents_of_one_token_can_only_be_followed_by_another(tmp_path):
    path = write_numbers(tmp_path / "single.txt", [[1]] * 20)
    pairs = build_sentence_pairs(path, TOKENIZER, 16)
    assert pairs["next_sentence_label"] == [1] * 20


@pytest.mark.parametrize("gap", ["\n\n\n", "\n\n"])
def test_blank_line_after_every_sentence(tmp_path, gap):
    number, texts = itertools.count(), []
    for _ in range(60):
        texts.append("\n\n".join(f"w{next(number)} w{next(number)}" for _ in range(4)))
    path = tmp_path / "spaced.txt"
    path.write_text(gap.join(texts), encoding="utf-8")
    pairs = build_sentence_pairs(path, TOKENIZER, 16)
    labels = pairs["next_sentence_label"]
    assert 0.3 < sum(labels) / len(labels) < 0.7
    check_examples(pairs, [[2] * 4] * 60 if gap == "\n\n\n" else [[2]] * 240, 16)


def test_untidy_text_gives_the_pairs_of_tidy_text(tmp_path):
    tidy, untidy = tmp_path / "tidy.txt", tmp_path / "untidy.txt"
    tidy.write_text("w0 w1\nw2\n\nw3 w4\nw5\n", encoding="utf-8")
    # A BOM, CRLF, empty documents, one without a token (a soft hyphen), no newline at the end.
    text = "\ufeffw0 w1\r\nw2\r\n\r\n\r\n\u00ad\r\n\r\n\r\nw3 w4\r\n\u00ad\r\nw5"
    untidy.write_bytes(text.encode())
    first, second = (build_sentence_pairs(path, TOKENIZER, 16).to_list() for path in (tidy, untidy))
    assert first == second


@pytest.mark.parametrize(
    "text, count", [("", 0), ("\n\n", 0), ("w1\nw2\nw3\n", 1), ("w1\n\n\u00ad\n", 1)]
)
def test_fewer_than_two_documents(tmp_path, text, count):
    path = tmp_path / "one.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match=f"문서가 {count}개뿐이어서.*빈 줄을 넣어"):
        build_sentence_pairs(path, TOKENIZER, 16, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    path.write_text("w1\n\nw2\n", encoding="utf-8")
    assert len(build_sentence_pairs(path, TOKENIZER, 16, cache_dir=tmp_path / "cache")) == 2


@pytest.mark.parametrize("block_size", [-1, 0, 7])
def test_block_without_room(many, block_size):
    with pytest.raises(CourseError, match="8 이상"):
        build_sentence_pairs(many[0], many[2], block_size)


@pytest.mark.parametrize("name", ["short_seq_prob", "random_next_prob"])
@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_probabilities_are_probabilities(many, name, value):
    with pytest.raises(CourseError, match=f"{name}.*0과 1 사이"):
        build_sentence_pairs(many[0], many[2], 32, **{name: value})


def test_same_seed_same_pairs_for_any_number_of_processes(many):
    path, _, tokenizer, pairs = many
    two = build_sentence_pairs(path, tokenizer, 32, num_proc=2)
    assert two.to_list() == pairs.to_list()
    other = build_sentence_pairs(path, tokenizer, 32, seed=1)
    assert other.to_list() != pairs.to_list()


def test_more_processes_than_documents(tmp_path, monkeypatch):
    class Pool:  # counts instead of starting processes
        def __init__(self, count, mp_context):
            assert count == 3

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        map = staticmethod(map)

    monkeypatch.setattr(sentence_pairs, "ProcessPoolExecutor", Pool)
    documents = [[3, 4]] * 3
    path = write_numbers(tmp_path / "few.txt", documents)
    check_examples(build_sentence_pairs(path, TOKENIZER, 16, num_proc=8), documents, 16)


def test_long_text_is_written_in_several_batches(many, monkeypatch):
    path, _, tokenizer, pairs = many
    monkeypatch.setattr(sentence_pairs, "PAIRS_PER_BATCH", 7)
    monkeypatch.setattr(sentence_pairs, "SENTENCES_PER_BATCH", 5)
    assert build_sentence_pairs(path, tokenizer, 32).to_list() == pairs.to_list()


def test_specials_in_the_text_are_read_as_the_tokenizer_reads_them(tmp_path):
    path = tmp_path / "specials.txt"
    path.write_text("w1 [MASK] w2\n\nw3\n", encoding="utf-8")
    ids = set(sum(build_sentence_pairs(path, TOKENIZER, 16)["input_ids"], []))
    assert TOKENIZER.mask_token_id in ids


# --- the cache -----------------------------------------------------------------------------------


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Build into one cache; `cached.builds` counts how often the text was tokenized."""

    def build(**changes):
        arguments = {"files": path, "tokenizer": TOKENIZER, "block_size": 16} | changes
        return build_sentence_pairs(cache_dir=tmp_path / "cache", **arguments)

    def counting(*arguments):
        build.builds += 1
        return tokenize(*arguments)

    tokenize = sentence_pairs.tokenize_corpus
    monkeypatch.setattr(sentence_pairs, "tokenize_corpus", counting)
    path = write_numbers(tmp_path / "numbers.txt", [[3, 2], [4], [5, 5]])
    build.builds, build.path, build.cache = 0, path, tmp_path / "cache"
    return build


def test_second_call_builds_nothing(cached):
    first = cached()
    inodes = {path: path.stat().st_ino for path in cached.cache.rglob("*")}
    assert cached().to_list() == first.to_list() and cached.builds == 1
    assert {path: path.stat().st_ino for path in cached.cache.rglob("*")} == inodes
    assert len(list(cached.cache.iterdir())) == 1
    (part,) = next(cached.cache.iterdir()).iterdir()  # the tokens on the way are gone
    assert part.suffix == ".arrow"


def test_the_name_of_the_text_does_not_matter(cached):
    cached()
    cached(files=cached.path.rename(cached.path.with_name("renamed.txt")))
    assert cached.builds == 1


def test_neither_do_processes_nor_what_the_tokenizer_was_last_used_for(cached):
    cached()
    tokenizer = number_tokenizer(1200)
    tokenizer("w1 w2 w3", truncation=True, padding="max_length", max_length=4)
    assert cached(tokenizer=tokenizer, num_proc=1).to_list() == cached().to_list()
    assert cached.builds == 1


def test_changed_text_of_the_same_name_and_size_builds_anew(cached):
    before = cached().to_list()
    text = cached.path.read_text(encoding="utf-8")
    cached.path.write_text(text.replace("w1", "w9"), encoding="utf-8")
    assert cached().to_list() != before and cached.builds == 2


@pytest.mark.parametrize(
    "change",
    [
        {"block_size": 17},
        {"seed": 1},
        {"short_seq_prob": 0.2},
        {"random_next_prob": 0.4},
        {"tokenizer": number_tokenizer(1201)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_other_setting_builds_anew(cached, change):
    cached()
    cached(**change)
    assert cached.builds == 2
    cached()
    assert cached.builds == 2  # and the first is still there


def test_a_pair_of_files_is_not_the_files_in_another_order(cached):
    other = write_numbers(cached.path.with_name("other.txt"), [[2], [2, 2]])
    cached(files=[cached.path, other])
    cached(files=[other, cached.path])
    assert cached.builds == 2


def test_interrupted_build_leaves_no_half_cache(cached, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sentence_pairs, "record_batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached()
    assert list(cached.cache.iterdir()) == []
    assert len(cached()) > 0


def test_another_process_may_have_built_the_same_in_the_meantime(cached, monkeypatch):
    write = sentence_pairs.write_pairs

    def faster(*arguments):
        monkeypatch.setattr(sentence_pairs, "write_pairs", write)
        cached()
        write(*arguments)

    monkeypatch.setattr(sentence_pairs, "write_pairs", faster)
    assert len(cached()) > 0
    assert len(list(cached.cache.iterdir())) == 1


def test_works_with_a_trained_wordpiece(tmp_path):
    path = write_korean(tmp_path / "korean.txt")
    tokenizer = train_wordpiece(path, 200)
    pairs = build_sentence_pairs(os.fspath(path), tokenizer, 32)
    decoded = tokenizer.decode(pairs[0]["input_ids"])
    assert decoded.startswith("[CLS] ") and decoded.endswith(" [SEP]")
    assert tokenizer.unk_token_id not in sum(pairs["input_ids"], [])
