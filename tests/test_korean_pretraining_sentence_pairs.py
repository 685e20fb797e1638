import itertools
import os
import random
import subprocess
import sys
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_text import number_tokenizer, write_korean, write_numbers

from helpers import ROOT, CourseError
from helpers.korean_pretraining import sentence_pairs
from helpers.korean_pretraining.corpus import read_lines
from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs
from helpers.korean_pretraining.wordpiece import train_wordpiece
from helpers.resources import load_tokenizer

CLS, SEP, FIRST = 2, 3, 5  # ids; the words w0, w1 ... have 5, 6 ...
TOKENIZER = number_tokenizer(1200)


def halves(example: dict) -> tuple[list[int], list[int]]:
    """Take `[CLS] A [SEP] B [SEP]` apart, by the place of the separators
    and by token types alike.
    """
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
        used += a + b
    # Nothing left out, nothing twice: a wrong B is the true one of another example.
    assert sorted(used) == list(range(FIRST, FIRST + len(owner)))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """600 documents of 1 to 9 sentences of 2 to 13 words."""
    documents = [[(7 * i + 5 * j) % 12 + 2 for j in range(i % 9 + 1)] for i in range(600)]
    path = write_numbers(tmp_path_factory.mktemp("pairs") / "many.txt", documents)
    tokenizer = number_tokenizer(len(owners(documents)))
    return path, documents, tokenizer, build_sentence_pairs(path, tokenizer, 32)


lengths = st.one_of(st.integers(1, 6), st.integers(1, 60))
document = st.lists(lengths, min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 1)
layouts = st.lists(document, min_size=2, max_size=5)


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
    labels = pairs["next_sentence_label"]
    if random_next == 0:
        assert set(labels) == {0}
    if random_next == 1:  # all but those of a document that has more than half of them
        assert 1 in labels


def test_structure_of_many_pairs(many):
    path, documents, _, pairs = many
    assert pairs.column_names == ["input_ids", "token_type_ids", "next_sentence_label"]
    check_examples(pairs, documents, 32)


def test_half_of_the_pairs_are_random(many):
    labels = many[3]["next_sentence_label"]
    assert len(labels) > 700
    assert 0.49 < sum(labels) / len(labels) < 0.51


def test_one_pair_in_ten_is_short(tmp_path):
    path = write_numbers(tmp_path / "long.txt", [[5] * 1200, [5] * 1200])
    tokenizer = number_tokenizer(12000)
    lengths = {}
    for probability in (0.0, 0.1):
        pairs = build_sentence_pairs(path, tokenizer, 64, short_seq_prob=probability)
        whole = [len(ids) == 64 for ids in pairs["input_ids"]]
        # Of the short ones one in 60 is as long as the others; the ends of the documents are short
        # anyhow.
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


def test_wrong_bs_come_from_every_other_document(tmp_path):
    path = write_numbers(tmp_path / "ten.txt", [[10] * 10] * 10)
    pairs = build_sentence_pairs(path, TOKENIZER, 16, random_next_prob=1)
    wrong = [example for example in pairs if example["next_sentence_label"]]
    drawn = {tuple((half[0] - FIRST) // 100 for half in halves(example)) for example in wrong}
    assert (
        len(wrong) >= len(pairs) - 1 > 60 and len(drawn) > 40
    )  # of 90 ordered couples of documents
    assert all(a != b for a, b in drawn)


def test_documents_of_one_sentence_get_both_labels(tmp_path):
    documents = [[6]] * 200
    path = write_numbers(tmp_path / "alone.txt", documents)
    pairs = build_sentence_pairs(path, TOKENIZER, 32)
    labels = pairs["next_sentence_label"]
    assert 0.45 < sum(labels) / len(labels) < 0.55
    check_examples(pairs, documents, 32)


def test_a_document_of_one_token_is_read_with_its_neighbour(tmp_path):
    path = write_numbers(tmp_path / "single.txt", [[1], [3], [4], [1]])
    pairs = build_sentence_pairs(path, TOKENIZER, 16)
    check_examples(pairs, [[1, 3], [4, 1]], 16)


def test_a_document_with_most_of_the_text_keeps_what_finds_no_partner(tmp_path):
    documents = [[4] * 100, [4] * 4]
    path = write_numbers(tmp_path / "most.txt", documents)
    pairs = build_sentence_pairs(path, TOKENIZER, 16, random_next_prob=1)
    check_examples(pairs, documents, 16)
    labels = pairs["next_sentence_label"]
    assert 0 < sum(labels) < 0.15 * len(labels)


# --- what B alone tells --------------------------------------------------------------------------


def rules(example: dict, starts: set[int], ends: set[int]) -> dict[str, int]:
    """Things that a reader of B alone can see."""
    _, b = halves(example)
    return {
        "begins a sentence": b[0] in starts,
        "ends a sentence": b[-1] in ends,
        "long": len(b),
        "block full": len(example["input_ids"]),
    }


def best_accuracy(values: list[int], labels: list[int]) -> float:
    """The accuracy of the best threshold on a value, in either direction."""
    right = []
    for border in {*values, max(values) + 1}:
        share = sum((v >= border) == label for v, label in zip(values, labels, strict=True))
        right += [share / len(labels), 1 - share / len(labels)]
    return max(right)


@pytest.mark.parametrize("block_size", [32, 64, 128])
@pytest.mark.parametrize("layout", ["articles", "single sentences"])
def test_no_rule_on_b_alone_tells_the_label(tmp_path, layout, block_size):
    # Sentences of 3 to 40 words, as long as real ones; each word its own id, so that places are
    # known.
    rng = random.Random(0)
    size = (lambda: rng.randint(1, 12)) if layout == "articles" else (lambda: 1)
    count = 400 if layout == "articles" else 2000
    documents = [[rng.randint(3, 40) for _ in range(size())] for _ in range(count)]
    borders = [FIRST, *(FIRST + n for n in itertools.accumulate(itertools.chain(*documents)))]
    starts, ends = set(borders), {border - 1 for border in borders}
    tokenizer = number_tokenizer(borders[-1])
    path = write_numbers(tmp_path / "text.txt", documents)
    pairs = build_sentence_pairs(path, tokenizer, block_size)
    labels = pairs["next_sentence_label"]
    seen = [rules(example, starts, ends) for example in pairs]
    for rule in seen[0]:
        assert best_accuracy([row[rule] for row in seen], labels) < 0.55, rule


@pytest.mark.parametrize("block_size", [64, 128])
def test_no_rule_on_b_alone_tells_the_label_of_real_text(block_size):
    tokenizer = load_tokenizer("mini-bert-ko")
    files = sorted((ROOT / "data/korean_pretraining/general").glob("*.txt"))
    first = {tokenizer(line)["input_ids"][1] for file in files for line in read_lines(file) if line}
    stop = set(tokenizer.convert_tokens_to_ids([".", "?", "!"]))
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    inside = {number for number, piece in enumerate(pieces) if piece.startswith("##")}
    pairs = build_sentence_pairs(files, tokenizer, block_size)
    labels = pairs["next_sentence_label"]
    seen = []
    for example in pairs:
        ids = example["input_ids"]
        b = ids[example["token_type_ids"].index(1) : -1]
        seen.append((b[0] in first, b[-1] in stop, b[0] in inside, len(b), len(ids)))
    for values in zip(*seen, strict=True):
        # A threshold chosen among sixty on some hundred pairs gains a little by chance.
        assert best_accuracy(list(values), labels) < 0.55 + 0.5 / len(labels) ** 0.5


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
    "text, count", [("", 0), ("\n\n", 0), ("w1\nw2\nw3\n", 1), ("w1 w2\n\n\u00ad\n", 1)]
)
def test_fewer_than_two_documents(tmp_path, text, count):
    path = tmp_path / "one.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match=f"문서가 {count}개뿐이어서.*빈 줄을 넣어"):
        build_sentence_pairs(path, TOKENIZER, 16, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    path.write_text("w1 w2\n\nw3 w4\n", encoding="utf-8")
    assert len(build_sentence_pairs(path, TOKENIZER, 16, cache_dir=tmp_path / "cache")) == 2


def test_nothing_is_left_in_the_temporary_folder(many, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = """if True:
        import sys
        from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs
        from helpers.resources import load_tokenizer

        pairs = build_sentence_pairs(sys.argv[1], load_tokenizer("mini-bert-ko"), 16)
        print(sum(len(row["input_ids"]) > 3 for row in pairs) == len(pairs) > 0)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, many[0]],
        env=os.environ | {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout == "True\n", done.stderr
    assert list(scratch.iterdir()) == []


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


def die(*arguments):
    os._exit(1)


def test_a_process_that_dies_is_one_sentence(many, monkeypatch):
    monkeypatch.setattr(sentence_pairs, "cut_documents", die)
    monkeypatch.setattr(sentence_pairs, "get_context", lambda _: get_context("fork"))
    with pytest.raises(CourseError, match="프로세스 2개 가운데 하나.*num_proc=1"):
        build_sentence_pairs(many[0], many[2], 32, num_proc=2)


def test_long_text_is_written_in_several_batches(many, monkeypatch):
    path, _, tokenizer, pairs = many
    monkeypatch.setattr(sentence_pairs, "PAIRS_PER_BATCH", 7)
    monkeypatch.setattr(sentence_pairs, "SENTENCES_PER_BATCH", 5)
    assert build_sentence_pairs(path, tokenizer, 32).to_list() == pairs.to_list()


def test_specials_in_the_text_are_read_as_the_tokenizer_reads_them(tmp_path):
    path = tmp_path / "specials.txt"
    path.write_text("w1 [MASK] w2\n\nw3 w4\n", encoding="utf-8")
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
        patch.setattr(sentence_pairs, "pair_columns", interrupted)
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
