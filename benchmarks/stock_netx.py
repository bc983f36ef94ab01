"""Throughput on PilotNet LIF (lava-dl's own test network), beside stock Lava, as a ratio measured in one run.

    uv run python benchmarks/stock_netx.py [--samples 16] [--steps 16] [--lava-steps 8] [--threads 1]

The emulator runs a batch of images, each held for --steps; Lava runs one for --lava-steps, import and compilation
excluded. The spikes of every layer are compared in the same run.
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

from spk2loihi.simulators.stock import StockNetwork

INTERVAL = 16  # steps an image lasts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--lava-steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the emulator")
    arguments = parser.parse_args()
    folder = Path(lava.lib.dl.netx.__file__).parents[4] / "tests/lava/lib/dl/netx/gts/pilotnet_lif"
    image = np.load(folder / "image.npy")

    network = StockNetwork.from_file(folder / "network.net", reset_interval=INTERVAL)
    changes = np.random.default_rng(0).integers(-5, 6, (arguments.samples, *image.shape, 1))
    changes[0] = 0
    inputs = np.repeat((image[None, ..., None] + changes).astype(np.int32), arguments.steps, axis=-1)
    torch.set_num_threads(arguments.threads)
    with threadpool_limits(arguments.threads):
        network.run(inputs[:1])  # warm up
        times = []
        for _ in range(3):
            started = time.perf_counter()
            network.run(inputs)
            times.append((time.perf_counter() - started) / (arguments.samples * arguments.steps))
    numbers = [layer.number for layer in network.layers]
    ours = network.run(inputs[:1, ..., : arguments.lava_steps], numbers, states=False)

    process = lava.lib.dl.netx.hdf5.Network(net_config=str(folder / "network.net"), reset_interval=INTERVAL)
    process.in_layer.neuron.bias_mant.init = image.astype(int)
    sinks = [Sink(shape=layer.out.shape, buffer=arguments.lava_steps + 1) for layer in process.layers]
    for layer, sink in zip(process.layers, sinks, strict=True):
        layer.out.connect(sink.a_in)
    try:
        config = Loihi2SimCfg(select_tag="fixed_pt")
        process.run(condition=RunSteps(num_steps=1), run_cfg=config)  # compiles
        started = time.perf_counter()
        process.run(condition=RunSteps(num_steps=arguments.lava_steps - 1), run_cfg=config)
        lava_step = (time.perf_counter() - started) / (arguments.lava_steps - 1)
        trains = [sink.data.get()[..., : arguments.lava_steps] for sink in sinks]
    finally:
        process.stop()

    different = sum(
        int((ours.layers[number].s[0] != train).sum()) for number, train in zip(numbers, trains, strict=True)
    )
    compared, fired = sum(train.size for train in trains), sum(int(train.sum()) for train in trains)
    step = min(times)
    machine = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f}, {arguments.threads} threads, {arguments.samples} samples")
    print(f"emulator   {1e3 * step:10.3f} ms a step and sample")
    print(f"stock Lava {1e3 * lava_step:10.3f} ms a step and sample (1 sample)")
    print(f"ratio      {lava_step / step:10.0f}")
    print(f"mismatches {different} of {compared} neuron-steps, {fired} spikes")


if __name__ == "__main__":
    main()
