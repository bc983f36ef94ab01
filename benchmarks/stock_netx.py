"""Throughput on PilotNet LIF (lava-dl's own test network), beside stock Lava, as a ratio measured in one run.

    uv run python benchmarks/stock_netx.py [--samples 16] [--steps 16] [--lava-steps 8] [--threads 1] [--written-out]

The emulator runs a batch of images, each held for --steps: one array of images that numpy repeats over the steps, or
with --written-out an array of its own for every step. Lava runs one image for --lava-steps, import and compilation
excluded. Both are timed in turns, --rounds times. The spikes of every layer are compared in the same run.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import lava.lib.dl.netx
import numpy as np
import torch
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from threadpoolctl import threadpool_limits

from spk2loihi.netx import StockNetwork

INTERVAL = 16  # steps an image lasts
RUNS = 4  # of the emulator in a round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--lava-steps", type=int, default=8, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--written-out", action="store_true", help="an input array for every step")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the emulator")
    arguments = parser.parse_args()
    folder = Path(lava.lib.dl.netx.__file__).parents[4] / "tests/lava/lib/dl/netx/gts/pilotnet_lif"
    image = np.load(folder / "image.npy")

    network = StockNetwork.from_file(folder / "network.net", reset_interval=INTERVAL)
    changes = np.random.default_rng(0).integers(-5, 6, (arguments.samples, *image.shape))
    changes[0] = 0
    images = (image + changes).astype(np.int32)[..., None]
    inputs = np.broadcast_to(images, (*images.shape[:-1], arguments.steps))
    if arguments.written_out:
        inputs = np.ascontiguousarray(inputs)
    torch.set_num_threads(arguments.threads)
    numbers = [layer.number for layer in network.layers]

    process = lava.lib.dl.netx.hdf5.Network(net_config=str(folder / "network.net"), reset_interval=INTERVAL)
    process.in_layer.neuron.bias_mant.init = image.astype(int)
    lava_steps = arguments.lava_steps * arguments.rounds + 1
    sinks = [Sink(shape=layer.out.shape, buffer=lava_steps) for layer in process.layers]
    for layer, sink in zip(process.layers, sinks, strict=True):
        layer.out.connect(sink.a_in)
    ours, theirs = [], []
    try:
        config = Loihi2SimCfg(select_tag="fixed_pt")
        process.run(condition=RunSteps(num_steps=1), run_cfg=config)  # compiles
        with threadpool_limits(arguments.threads):
            network.run(inputs)  # compiles
        for _ in range(arguments.rounds):
            started = time.perf_counter()
            with threadpool_limits(arguments.threads):
                for _ in range(RUNS):
                    network.run(inputs)
            ours.append((time.perf_counter() - started) / (RUNS * arguments.samples * arguments.steps))
            started = time.perf_counter()
            process.run(condition=RunSteps(num_steps=arguments.lava_steps), run_cfg=config)
            theirs.append((time.perf_counter() - started) / arguments.lava_steps)
        trains = [sink.data.get()[..., :lava_steps] for sink in sinks]
    finally:
        process.stop()

    record = network.run(np.broadcast_to(images[:1], (1, *image.shape, lava_steps)), numbers, states=False)
    different = sum(
        int((record.layers[number].s[0] != train).sum()) for number, train in zip(numbers, trains, strict=True)
    )
    compared, fired = sum(train.size for train in trains), sum(int(train.sum()) for train in trains)
    machine = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f}, {arguments.threads} threads, {arguments.samples} samples")
    print(f"emulator   {in_turns(ours)} ms a step and sample, in turns")
    print(f"stock Lava {in_turns(theirs)} ms a step and sample (1 sample)")
    print(f"ratio      {np.median(theirs) / np.median(ours):10.0f} of the medians")
    print(f"mismatches {different} of {compared} neuron-steps, {fired} spikes")


def in_turns(times: list[float]) -> str:
    return " ".join(f"{1e3 * seconds:8.3f}" for seconds in times)


if __name__ == "__main__":
    main()
