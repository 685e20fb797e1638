"""Relation extraction with a BERT that is told where the entities are (lesson 05).

>>> from helpers.entity_bert.spans import read_examples
>>> from helpers.entity_bert.train import RelationExtractor, train
>>> model, tokenizer = train(read_examples("train.json"), variant="entity_embedding")
>>> extract_relation = RelationExtractor(model, tokenizer)
>>> extract_relation("이순신은 1545년에 태어났다.", "이순신", "1545년")
{"per:date_of_birth": 0.93, ...}
"""
