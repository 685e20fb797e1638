"""Lesson 02, similarity chatbot: sentence vectors, a chatbot on them, measuring and training.

>>> encoder = load_sentence_encoder()
>>> chatbot = SimilarityChatbot(["이름이 뭐야?"], ["버티예요."], encoder)
>>> chatbot.answer("이름 좀 알려 줘").answer
'버티예요.'
"""

from helpers.similarity_chatbot.chatbot import (
    SimilarityChatbot,
    careful_threshold,
    course_chatbot,
    talk,
)
from helpers.similarity_chatbot.encoder import SentenceEncoder, load_sentence_encoder, unit
from helpers.similarity_chatbot.measuring import (
    evaluate_retrieval,
    mean_reciprocal_rank,
    recall_at_k,
    target_ranks,
)
from helpers.similarity_chatbot.search import crowd, search_latency
from helpers.similarity_chatbot.tables import read_table
from helpers.similarity_chatbot.training import groups_from_mistakes, train_contrastive
