"""From plain text to a Korean BERT: vocabulary, sentence pairs, model, training, measurement (lesson 04)."""
