"""One Korean BERT fine-tuned on four tasks, alone and together (lesson 06).

>>> from helpers.finetuning.evaluate import TASKS
>>> from helpers.finetuning.train import train
>>> task = TASKS["sentiment"]
>>> tuned = train(task, task.read("sentiment.tsv", "train"))
>>> tuned("표값이 하나도 안 아까웠다")
{"label": "1", "probabilities": {"0": 0.04, "1": 0.96}}
"""
