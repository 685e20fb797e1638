"""Train a WordPiece vocabulary for Korean; as a second way, split into morphemes first."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import BertWordPieceTokenizer
from transformers import BertTokenizerFast

from helpers import CourseError
from helpers.korean_pretraining.corpus import Files, as_paths, read_documents
from helpers.text import analyzer

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LONGEST_WORD = 1_000  # characters: training takes the square of a word's length


def train_wordpiece(
    files: Files,
    vocab_size: int = 16_000,
    *,
    min_frequency: int = 2,
    limit_alphabet: int = 3_000,
    model_max_length: int = 512,
) -> BertTokenizerFast:
    """Learn a cased WordPiece vocabulary from text files: a working `BertTokenizerFast`.

    `limit_alphabet` is how many different characters may have a piece of their own: Korean writes
    more than 2,000 different syllables, so the library's default of 1,000 turns words with a rarer
    one into `[UNK]`. The vocabulary may come out smaller than `vocab_size` when the text is small,
    never larger; the same text gives the same vocabulary. Raises `CourseError` for a missing, empty
    or unreadable corpus, and for a `vocab_size` below 8.
    Source: https://huggingface.co/docs/tokenizers/api/trainers#tokenizers.trainers.WordPieceTrainer
    """
    files = as_paths(files)
    if vocab_size < 8:  # the special tokens and three pieces
        raise CourseError(f"vocab_size={vocab_size}은(는) 너무 작습니다. 8 이상의 수를 주십시오.")
    # The library numbers the alphabet in the random order of a hash map, and ties between pieces
    # are decided by number. So the alphabet is learned first, sorted, and given to the training
    # proper with numbers of its own.
    counts: Counter[str] = Counter()
    alphabet = learn_pieces(read_sentences(files, counts), 0, SPECIAL_TOKENS, limit_alphabet=2**21)
    # Each character costs up to two pieces, "가" and "##가": a small vocabulary must not be all
    # alphabet.
    limit = min(limit_alphabet, (vocab_size - len(SPECIAL_TOKENS)) // 3)
    characters = [piece for piece in alphabet if len(piece) == 1]
    if not characters:
        raise CourseError(
            "말뭉치에 글자가 없어 어휘를 배울 수 없습니다. 문장이 든 파일을 주십시오."
        )
    kept = set(sorted(characters, key=lambda c: (-counts[c], c))[:limit])
    given = SPECIAL_TOKENS + sorted(p for p in alphabet if p.removeprefix("##") in kept)
    options = {"limit_alphabet": 0, "min_frequency": min_frequency}  # no letter but the given
    vocab = learn_pieces(read_sentences(files, Counter()), vocab_size, given, **options)
    return wordpiece_tokenizer(vocab, model_max_length)


def read_sentences(files: list[Path], counts: Counter[str]) -> Iterator[str]:
    """Yield every sentence and count its characters; endless words are left out."""
    for document in read_documents(files):
        for sentence in document:
            counts.update(sentence)
            if len(sentence) > LONGEST_WORD:
                words = sentence.split()
                sentence = " ".join(word for word in words if len(word) <= LONGEST_WORD)
            yield sentence


def learn_pieces(
    sentences: Iterator[str], vocab_size: int, special_tokens: list[str], **options
) -> dict[str, int]:
    """Train a cased WordPiece vocabulary, `special_tokens` first: piece -> id."""
    trainer = BertWordPieceTokenizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    trainer.train_from_iterator(
        sentences,
        vocab_size=vocab_size,
        special_tokens=special_tokens,
        wordpieces_prefix="##",
        show_progress=False,
        **options,
    )
    return trainer.get_vocab()


def wordpiece_tokenizer(vocab: dict[str, int], model_max_length: int = 512) -> BertTokenizerFast:
    """Wrap a vocabulary (piece -> id) as a cased `BertTokenizerFast`.

    The argument is named `vocab`: the `vocab_file` of older releases is accepted and ignored since
    transformers 5, which leaves five special tokens and turns every word into `[UNK]`.
    """
    return BertTokenizerFast(
        vocab=vocab, do_lower_case=False, strip_accents=False, model_max_length=model_max_length
    )


def split_morphemes(sentences: Iterable[str]) -> list[str]:
    """Put a space between a sentence's morphemes, as ETRI's KorBERT does before WordPiece.

    Example: ["이순신은 무신이다."] -> ["이순신 은 무신 이 다 ."]. The letters stay as written
    (Kiwi's spans are used, not its base forms), so syllables in which two morphemes have merged
    stay whole.
    """
    split = []
    sentences = list(sentences)
    for tokens, sentence in zip(analyzer().tokenize(sentences), sentences, strict=True):
        borders = sorted({token.start for token in tokens if token.start} | {0, len(sentence)})
        pieces = (sentence[a:b].strip() for a, b in zip(borders, borders[1:], strict=False))
        split.append(" ".join(piece for piece in pieces if piece))
    return split
