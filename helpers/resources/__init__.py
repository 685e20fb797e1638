"""Models and data sets by name: a file embedded in the repository or a verified download.

>>> data_files("korean-documents")      # [Path(".../general/history.txt"), ...]
>>> model = load_model(BertForMaskedLM, "mini-bert-ko")
>>> tokenizer = load_tokenizer("mini-bert-ko")
"""

from helpers.resources.catalogue import CATALOGUE, DATA, Resource, lookup
from helpers.resources.download import cache_folder, data_files, data_path, fetch
from helpers.resources.hub import NoNetwork
from helpers.resources.models import (
    ORDINARY_KOREAN,
    check_pair,
    check_safetensors,
    check_tokenizer,
    load_config,
    load_model,
    load_tokenizer,
    model_folder,
    read_tokenizer,
)
from helpers.resources.sums import SUMS, changed_files, read_sums, sha256, write_sums
