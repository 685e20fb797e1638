"""Export a BERT for the browser: ONNX files and tokenizer, as transformers.js reads them.

In the browser: `AutoModelForMaskedLM.from_pretrained("mini-bert-ko", {dtype: "q8"})`.
"""

import copy
import inspect
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper, version_converter
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from helpers import CourseError
from helpers.resources import ORDINARY_KOREAN, load_model, load_tokenizer, model_folder
from helpers.runs import make_folder

TASKS = {"fill-mask": "logits", "feature-extraction": "last_hidden_state"}  # and what comes out
BLOCK = 64  # weights that share one scale
TOLERANCE = 1e-4  # length of the error, torch's output being 1 long
OPSET = 21  # the first with blocks in DequantizeLinear
FILES = {"fp32": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"}  # transformers.js's names


def export(model: str | Path, output: str | Path) -> dict[str, int]:
    """export("mini-bert-ko", "build/mini-bert-ko") -> {file below `output`: its bytes}

    model: as for `load_model`. With a masked-LM head it is exported for fill-mask, a bare encoder
    for feature extraction. fp32 and int8 both take `input_ids`, `attention_mask` and, where the
    model has types, `token_type_ids` [batch, sequence].
    Raises CourseError as `load_model` does, for another head, for an output that cannot be written,
    and if a written model computes something else than torch.
    """
    task, tokenizer = task_of(model), load_tokenizer(model)
    output = Path(output)
    make_folder(output / "onnx")
    cls = AutoModelForMaskedLM if task == "fill-mask" else AutoModel
    # Eager attention is plain matrix products, which every runtime knows.
    network = load_model(cls, model, attn_implementation="eager")
    inputs = example(network, tokenizer)
    graph = to_onnx(network, inputs, TASKS[task])
    written = [Path(file) for file in tokenizer.save_pretrained(output)]
    network.config.save_pretrained(output)
    onnx.save(graph, output / FILES["fp32"])
    onnx.save(quantize_weights(graph), output / FILES["int8"])
    check(network, inputs, output, TASKS[task])
    written += [output / name for name in ("config.json", *FILES.values())]
    found = sorted(path for path in written if path.exists())
    return {path.relative_to(output).as_posix(): path.stat().st_size for path in found}


def task_of(model: str | Path) -> str:
    """task_of("mini-bert-ko") -> "fill-mask"; "feature-extraction" for an encoder without a head.

    Raises CourseError for any other head: its outputs would be lost without a word.
    """
    config = AutoConfig.from_pretrained(model_folder(model))
    architecture = (config.architectures or ["?"])[0]
    if architecture.endswith(("ForMaskedLM", "ForPreTraining")):
        return "fill-mask"
    if architecture.endswith("Model"):
        return "feature-extraction"
    raise CourseError(
        f"{model}은(는) {architecture} 모델입니다. 빈칸을 채우는 모델(BertForMaskedLM)이나 "
        "머리가 없는 인코더(BertModel)만 내보낼 수 있습니다."
    )


def example(network: Any, tokenizer: Any) -> dict[str, torch.Tensor]:
    """Three padded Korean sentences with a mask each: {"input_ids": [3, length], ...}."""
    sentences = [f"{tokenizer.mask_token} {sentence}" for sentence in ORDINARY_KOREAN]
    batch = tokenizer(sentences, padding=True, return_tensors="pt")
    known = inspect.signature(network.forward).parameters
    return {name: ids for name, ids in batch.items() if name in known}


class OneOutput(torch.nn.Module):
    """A model as a function of positional inputs that returns one named output."""

    def __init__(self, network: Any, names: list[str], output: str):
        super().__init__()
        self.network, self.names, self.output = network, names, output

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.network(**dict(zip(self.names, inputs, strict=True)))[self.output]


def to_onnx(network: Any, inputs: dict[str, torch.Tensor], output: str) -> onnx.ModelProto:
    """Trace a model to an fp32 graph; batch and length stay free, a tied weight is stored once."""
    names = list(inputs)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer remarks on itself and on Python branches
        torch.onnx.export(
            OneOutput(network, names, output).eval(),
            tuple(inputs.values()),
            file,
            input_names=names,
            output_names=[output],
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in [*names, output]},
            opset_version=17,
            do_constant_folding=False,  # a folded transpose would store the tied embedding twice
            dynamo=False,
        )
    return version_converter.convert_version(onnx.load_from_string(file.getvalue()), OPSET)


def quantize_weights(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Store every matrix in 8 bits, BLOCK weights of a row to a scale; compute stays in fp32.

    [[0.5, -1.0]] -> int8 [[64, -127]] and scale 1/127. onnxruntime's `quantize_dynamic` rounds the
    activations too: of 200 sentences it kept the five best pieces of only 35.
    """
    graph = onnx.ModelProto.FromString(graph.SerializeToString())
    kept, nodes = [], []
    for weight in graph.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or not has_blocks(values):
            kept.append(weight)
            continue
        rounded, scale = to_int8(values)
        name = weight.name
        kept.append(numpy_helper.from_array(rounded, f"{name}_int8"))
        kept.append(numpy_helper.from_array(scale, f"{name}_scale"))
        both = [f"{name}_int8", f"{name}_scale"]
        nodes.append(helper.make_node("DequantizeLinear", both, [name], axis=1, block_size=BLOCK))
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    nodes += graph.graph.node
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    onnx.checker.check_model(graph)
    return graph


def has_blocks(weight: np.ndarray | torch.Tensor) -> bool:
    return len(weight.shape) == 2 and weight.shape[1] % BLOCK == 0


def to_int8(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [rows, columns] -> int8 of the same shape, and a scale [rows, columns / BLOCK]."""
    blocks = values.reshape(len(values), -1, BLOCK)
    scale = np.abs(blocks).max(axis=2) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(blocks / scale[:, :, None]).astype(np.int8).reshape(values.shape), scale


@torch.no_grad()
def round_weights(network: Any) -> Any:
    """Give a torch model, in place, the weights of its int8 export: to measure what int8 costs."""
    for weight in network.parameters():
        if has_blocks(weight):
            rounded, scale = to_int8(weight.numpy())
            weight.copy_(torch.from_numpy(rounded * np.repeat(scale, BLOCK, axis=1)))
    return network


def open_session(path: str | Path) -> onnxruntime.InferenceSession:
    """An exported file on this machine's CPU; int8 weights are unpacked once, when it is opened."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check(network: Any, inputs: dict[str, torch.Tensor], folder: Path, output: str) -> None:
    """Compare the files with torch (rounded weights for int8) on real sentences.

    Raises CourseError if they differ.
    """
    feed = {name: ids.numpy() for name, ids in inputs.items()}
    real = feed["attention_mask"].astype(bool)  # padding comes out as it likes
    for precision, file in FILES.items():
        if precision == "int8":
            network = round_weights(copy.deepcopy(network))
        with torch.inference_mode():
            expected = network(**inputs)[output].numpy()
        (found,) = open_session(folder / file).run([output], feed)
        error = np.linalg.norm((found - expected)[real]) / np.linalg.norm(expected[real])
        if not error <= TOLERANCE:
            raise CourseError(
                f"내보낸 {precision} 모델의 출력이 torch와 {error:.1%} 다릅니다. "
                "이 모델은 브라우저에서 쓸 수 없습니다."
            )
