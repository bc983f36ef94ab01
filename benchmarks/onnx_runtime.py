"""The emulator beside ONNX Runtime int8: an exact spiking student against the ordinary network it was distilled from.

    uv run --group benchmark python benchmarks/onnx_runtime.py model.net teacher/ [--sentences 64] [--rounds 7]

The teacher is exported to ONNX, fused by ONNX Runtime's own optimiser for BERT, and quantised dynamically to 8 bits, in
four ways (fused or not, weights by channel or by tensor); the fastest at each cell counts. Both networks run the same
token ids in the same batches, sorted by length and padded to the longest sentence of each, in turns: every round runs
every cell of every rival once, and the fastest round counts. The emulator's time includes its counters, as `simulate`
runs it (`Emulator.totals` and `OperationCounter`).

One thread is measured in CPU time of this process, so that other work on the machine stays out; two threads in wall
time, which it does not. Before the times, every spike count and logit is compared with the emulator's reference
(`Emulator.equilibrium`), and the int8 teacher's answers with those of the float teacher.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model
from throughput import WINDOWED, run_engine, spread
from transformers import AutoModelForSequenceClassification

from spk2loihi.data import Encoded, TaskSpec, TokenBatch, collate, load_held_out
from spk2loihi.network import read_network
from spk2loihi.network.network import Network
from spk2loihi.simulators import encode
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.simulate import pad_id

logging.disable()  # the quantiser recommends a step that changes nothing here
warnings.simplefilter("ignore")  # of tracing

BATCHES, THREADS = (64, 8, 1), (1, 2)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("teacher", type=Path, help="folder of the student's teacher")
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    network = read_network(arguments.network)
    examples = load_held_out(TaskSpec.from_dict(network.task))
    chosen = spread(encode(network, examples)[0], arguments.sentences)
    data = {size: sorted_batches(network, chosen, size) for size in BATCHES}
    teacher = AutoModelForSequenceClassification.from_pretrained(arguments.teacher).eval()
    emulator = Emulator(network, WINDOWED if not network.streamed else None)
    check_emulator(emulator, data)
    with TemporaryDirectory() as folder:
        models = quantised(teacher, Path(folder))
        check_teacher(teacher, next(iter(models.values())), data[BATCHES[0]])
        tokens = sum(len(one) for one in chosen)
        print(
            f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}; "
            f"{len(chosen)} sentences of {tokens / len(chosen):.1f} tokens, best of {arguments.rounds} rounds\n"
        )
        print("| threads | batch | emulator, sentences/s | ONNX Runtime int8, sentences/s | ratio | its best form |")
        print("|---|---|---|---|---|---|")
        for threads in THREADS:
            compare(emulator, models, data, threads, arguments.rounds)


def sorted_batches(network: Network, encoded: list[Encoded], size: int) -> list[TokenBatch]:
    ordered = sorted(encoded, key=len)
    return [collate(ordered[i : i + size], pad_id(network)) for i in range(0, len(ordered), size)]


def check_emulator(emulator: Emulator, data: dict[int, list[TokenBatch]]) -> None:
    """Counts of the largest batches, logits of all."""
    for batch in data[BATCHES[0]]:
        counts, _ = emulator.equilibrium(batch)
        run = emulator.run(batch)
        for name, n in counts.items():
            if not np.array_equal(run.counts[name], n.numpy()):
                raise SystemExit(f"{name}: the emulator's counts are not its reference's")
    expected = np.concatenate([emulator.equilibrium(batch)[1][:, 0].numpy() for batch in data[BATCHES[0]]])
    for size, batches in data.items():
        if not np.array_equal(np.concatenate([emulator.totals(batch).logits for batch in batches]), expected):
            raise SystemExit(f"batches of {size}: the emulator's logits are not its reference's")
    print(f"every count and logit of {len(expected)} sentences equals the reference's, in batches of {list(data)}")


def quantised(teacher: Any, folder: Path) -> dict[str, Path]:
    """int8 models by the way they were made."""
    plain, fused = folder / "plain.onnx", folder / "fused.onnx"
    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {name: {0: "batch", 1: "tokens"} for name in INPUTS}
    torch.onnx.export(
        teacher, (ids, ids, ids), str(plain), input_names=list(INPUTS), output_names=["logits"],
        dynamic_axes={**axes, "logits": {0: "batch"}}, opset_version=17, dynamo=False,
    )  # fmt: skip
    config = teacher.config
    optimised = optimize_model(
        str(plain), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size
    )
    optimised.save_model_to_file(str(fused))
    models = {}
    for path in (plain, fused):
        for per_channel in (False, True):
            name = f"{path.stem}, weights by {'channel' if per_channel else 'tensor'}"
            models[name] = folder / f"{path.stem}-{per_channel}.onnx"
            # Fused nodes are of a domain whose types the quantiser does not know.
            types = {"DefaultTensorType": onnx.TensorProto.FLOAT}
            quantize_dynamic(
                path, models[name], per_channel=per_channel, weight_type=QuantType.QInt8, extra_options=types
            )
    return models


def session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def feeds(batches: list[TokenBatch]) -> list[dict[str, Any]]:
    return [
        dict(zip(INPUTS, (b.input_ids.astype(np.int64), b.mask.astype(np.int64), b.token_type_ids.astype(np.int64)),
                 strict=True))
        for b in batches
    ]  # fmt: skip


def check_teacher(teacher: Any, model: Path, batches: list[TokenBatch]) -> None:
    """Prints how many answers 8 bits change."""
    running, same, count = session(model, 1), 0, 0
    for feed in feeds(batches):
        with torch.no_grad():
            expected = teacher(**{name: torch.from_numpy(feed[name]) for name in INPUTS}).logits.argmax(1).numpy()
        same += int((running.run(None, feed)[0].argmax(1) == expected).sum())
        count += len(expected)
    print(f"the int8 teacher answers {same} of {count} sentences as the float one does")


def compare(
    emulator: Emulator, models: dict[str, Path], data: dict[int, list[TokenBatch]], threads: int, rounds: int
) -> None:
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    sessions = {name: session(model, threads) for name, model in models.items()}
    fed = {size: feeds(batches) for size, batches in data.items()}
    best: dict[tuple[int, str], float] = {}
    for _ in range(rounds + 1):  # the first warms up what it can
        for size, batches in data.items():
            timed(best, (size, ""), clock, partial(run_engine, emulator, batches))
            for name, running in sessions.items():
                timed(best, (size, name), clock, partial(run_session, running, fed[size]))
    for size, batches in data.items():
        count = sum(len(batch.lengths) for batch in batches)
        form = min(models, key=lambda name: best[size, name])
        own, other = count / best[size, ""], count / best[size, form]
        print(f"| {threads} | {size} | {own:.0f} | {other:.0f} | {own / other:.2f} | {form} |", flush=True)


def run_session(running: onnxruntime.InferenceSession, fed: list[dict[str, Any]]) -> None:
    for feed in fed:
        running.run(None, feed)


def timed(
    best: dict[tuple[int, str], float], key: tuple[int, str], clock: Callable[[], float], work: Callable[[], object]
) -> None:
    started = clock()
    work()
    best[key] = min(best.get(key, float("inf")), clock() - started)


if __name__ == "__main__":
    main()
