import random
import re
import subprocess
import sys
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_text import write_korean
from transformers import AutoTokenizer, BertTokenizerFast

from helpers import CourseError
from helpers.korean_pretraining.corpus import read_documents
from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs
from helpers.korean_pretraining.wordpiece import (
    SPECIAL_TOKENS,
    split_morphemes,
    train_wordpiece,
    wordpiece_tokenizer,
)
from helpers.text import analyzer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_korean(tmp_path_factory.mktemp("wordpiece") / "corpus.txt", documents=100)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return train_wordpiece(corpus, 200)


def test_special_tokens_have_the_first_ids(tokenizer):
    assert tokenizer.convert_ids_to_tokens(range(5)) == SPECIAL_TOKENS
    assert [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id] == [0, 1, 4]
    ids = tokenizer("서울", "부산")["input_ids"]
    assert (ids[0], ids[-1], ids.count(3)) == (2, 3, 2)
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))


def test_case_accents_and_chinese_characters(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("Café CAFÉ 大韓民國 서울서울\n" * 5, encoding="utf-8")
    tokenizer = train_wordpiece(path, 200)
    assert tokenizer.tokenize("Café") == ["Café"]  # neither "cafe" nor without its accent
    assert tokenizer.tokenize("CAFÉ") == ["CAFÉ"]
    assert tokenizer.tokenize("café") != tokenizer.tokenize("CAFÉ")
    assert tokenizer.tokenize("大韓民國") == ["大", "韓", "民", "國"]
    assert not [
        piece for piece in tokenizer.get_vocab() if re.search("大.|韓.|##[大韓民國]", piece)
    ]
    assert tokenizer.tokenize("서울\x00서울\ufffd") == ["서울서울"]  # clean_text
    pieces = tokenizer.tokenize("울서")
    assert len(pieces) == 2 and pieces[1].startswith("##")


def test_frequency_and_size(corpus, tmp_path):
    assert len(train_wordpiece(corpus, 120)) == 120
    path = tmp_path / "corpus.txt"
    path.write_text("한번만\n두번째 두번째\n", encoding="utf-8")
    vocab = train_wordpiece(path, 100).get_vocab()
    assert "두번째" in vocab and "한번만" not in vocab  # min_frequency 2
    assert "한번만" in train_wordpiece(path, 100, min_frequency=1).get_vocab()


@given(vocab_size=st.integers(8, 60))
@settings(max_examples=20, deadline=None)
def test_vocabulary_is_never_larger_than_asked(vocab_size, corpus):
    assert 5 < len(train_wordpiece(corpus, vocab_size)) <= vocab_size


def test_rare_syllables_are_kept(tmp_path):
    syllables = [chr(0xAC00 + 7 * i) for i in range(1500)]
    lines = [" ".join([common] * 5) for common in syllables[:1490]] + [" ".join(syllables[1490:])]
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    tokenizer = train_wordpiece(path, 6000)
    assert tokenizer.unk_token not in tokenizer.tokenize(" ".join(syllables))
    small = train_wordpiece(path, 6000, limit_alphabet=1000)
    assert set(small.tokenize(" ".join(syllables[1490:]))) == {"[UNK]"}


def test_the_same_text_gives_the_same_vocabulary_in_another_process(corpus, tokenizer):
    code = "import sys; from helpers.korean_pretraining.wordpiece import train_wordpiece as t\n"
    code += "print(sorted(t(sys.argv[1], 200).get_vocab().items(), key=lambda item: item[1]))"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code, str(corpus)],
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    ours = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    assert done.stdout.strip() == str(ours)


@pytest.mark.parametrize("cls", [AutoTokenizer, BertTokenizerFast])
def test_saved_and_loaded_it_gives_the_same_ids(tokenizer, corpus, tmp_path, cls):
    tokenizer.save_pretrained(tmp_path)
    loaded = cls.from_pretrained(tmp_path)
    sentences = [s for document in read_documents(corpus) for s in document] + ["Hello 漢字 é!"]
    assert loaded(sentences)["input_ids"] == tokenizer(sentences)["input_ids"]
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.model_max_length == tokenizer.model_max_length == 512
    unknown = [ids.count(loaded.unk_token_id) for ids in loaded(sentences[:-1])["input_ids"]]
    assert sum(unknown) == 0


def test_the_vocab_file_trap_exists_and_is_not_ours(tokenizer, tmp_path):
    path = tmp_path / "vocab.txt"
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    path.write_text("\n".join(pieces), encoding="utf-8")
    trapped = BertTokenizerFast(vocab_file=str(path), do_lower_case=False)
    if trapped.get_vocab() != tokenizer.get_vocab():  # as long as transformers ignores it
        assert trapped.tokenize("서울") == ["[UNK]"]
    ours = wordpiece_tokenizer({piece: i for i, piece in enumerate(pieces)})
    assert ours.get_vocab() == tokenizer.get_vocab()
    assert ours.tokenize("서울") == tokenizer.tokenize("서울") != ["[UNK]"]


def longest_match(word: str, vocab: dict[str, int]) -> list[str]:
    """Greedy longest match from the left, as in the paper;
    the whole word is unknown where one place fails.
    """
    pieces, start = [], 0
    while start < len(word):
        for stop in range(len(word), start, -1):
            piece = "##" * (start > 0) + word[start:stop]
            if piece in vocab:
                pieces.append(piece)
                start = stop
                break
        else:
            return ["[UNK]"]
    return pieces


def test_agrees_with_greedy_longest_match(tokenizer, corpus):
    rng = random.Random(0)
    sentences = [s for document in read_documents(corpus) for s in document][:300]
    alphabet = sorted(set("".join(sentences)))
    sentences += ["".join(rng.choices(alphabet + ["뷁"], k=20)) for _ in range(200)]
    vocab = tokenizer.get_vocab()
    for sentence in sentences:
        words = re.findall(r"\w+|[^\w\s]", sentence)
        expected = [piece for word in words for piece in longest_match(word, vocab)]
        assert tokenizer.tokenize(sentence) == expected


@pytest.mark.parametrize("vocab_size", [-1, 0, 5, 7])
def test_no_room_for_pieces(corpus, vocab_size):
    with pytest.raises(CourseError, match="너무 작습니다. 8 이상"):
        train_wordpiece(corpus, vocab_size)


@pytest.mark.parametrize("text", ["", "\n\n\n", "\x00\n"])
def test_text_without_a_character(tmp_path, text):
    path = tmp_path / "corpus.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match="글자가 없어"):
        train_wordpiece(path, 100)


def test_morphemes_first():
    sentences = ["이순신은 무신이다.", "", "학교에  갔다 😀왔다"]
    split = split_morphemes(iter(sentences))  # any iterable
    assert split[0] == "이순신 은 무신 이 다 ."
    assert split[1] == ""
    for before, after in zip(sentences, split, strict=True):
        assert before.replace(" ", "") == after.replace(" ", "")  # no letter lost or changed
    assert "😀" in split[2].split()
    nfd = unicodedata.normalize("NFD", sentences[0])
    assert split_morphemes([nfd])[0].replace(" ", "") == nfd.replace(" ", "")


def test_kiwi_is_loaded_once():
    assert analyzer() is analyzer()


def test_a_line_of_a_million_letters_takes_seconds(tmp_path):
    path = write_korean(tmp_path / "korean.txt")
    plain = train_wordpiece(path, 250).get_vocab()
    rng = random.Random(0)
    text = path.read_text(encoding="utf-8")
    long = "".join(rng.choice("바다산강") for _ in range(10**6))
    path.write_text(f"{text}\n{long}\n\n", encoding="utf-8")
    start = time.monotonic()
    vocab = train_wordpiece(path, 250).get_vocab()
    assert time.monotonic() - start < 20  # it took more than two minutes
    assert vocab == plain
    pairs = build_sentence_pairs(path, train_wordpiece(path, 250), 32)
    assert len(pairs) > 10
