"""Lesson 04, from plain text to a Korean BERT: vocabulary, sentence pairs, model, training."""
