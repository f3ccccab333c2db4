"""Mutated pictures and weight files: a result or a documented error, never code, never 2 GB.

Run as a script (`test_fuzz.py KIND`) this file is the child: a crash of a decoder ends only the child, and its peak
memory is its own.
"""

import json
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import traceback
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small import saved

from stylerepro.errors import ImageError, StyleReproError
from stylerepro.networks import checkpoints, weights
from stylerepro.networks.feed_forward import StyleNetwork, architecture
from stylerepro.networks.specs import NETWORKS
from stylerepro.pictures import images

SEEDS = {"pictures": 300, "weights": 100}
LIMIT = 2 * 1024**3
MARKER = Path("marker")  # what the malicious pickles would make


class Malicious:
    """Unpickled by anything but a refusing reader, this makes a file."""

    def __init__(self, call, *arguments):
        self.made = call, arguments

    def __reduce__(self):
        return self.made


def picture_bytes() -> list[bytes]:
    """One small picture of each format that is read, of its variants, and of two that are refused."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 36, 4), dtype=np.uint8)
    colour, clear = Image.fromarray(pixels[..., :3].copy()), Image.fromarray(pixels)
    made = [(colour, "PNG"), (clear, "PNG"), (colour, "JPEG"), (colour, "WEBP"), (clear, "WEBP")]
    made += [(colour.convert("P"), "PNG"), (colour.convert("CMYK"), "JPEG"), (colour, "GIF"), (colour, "BMP")]
    made.append((Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG"))
    return [saved(picture, kind) for picture, kind in made]


def weight_bytes() -> list[tuple[str, bytes]]:
    """Every kind of weight file, as (reader, content); the pickles of the last two would run code."""
    network = StyleNetwork(architecture("depsep-nn", widths=(4, 4, 4), residual_blocks=1))
    trained = checkpoints.save(network, "base.safetensors", {}).read_bytes()
    state = {"model": {"conv1_1.weight": torch.ones(4, 3, 3, 3), "conv1_1.bias": torch.zeros(4)}}
    contents = [("safetensors", NETWORKS["compact"].file.read_bytes()), ("feed-forward", trained)]
    evil = {"model": Malicious(os.mkdir, str(MARKER)), "other": Malicious(exec, f"open({str(MARKER)!r}, 'w')")}
    for content in (state, evil):
        for zipped in (True, False):
            torch.save(content, "base.pth", _use_new_zipfile_serialization=zipped)
            contents.append(("pth", Path("base.pth").read_bytes()))
    return [*contents, ("pth", pickle.dumps(evil, protocol=2))]


def mutate(content: bytes, chance: random.Random) -> bytes:
    """One to three faults, most of them near the head, where the structure is."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        end = chance.choice([min(64, len(data)), min(1024, len(data)), len(data), len(data)])
        a, b = sorted(chance.randint(0, end) for _ in range(2))
        b = min(b, a + 40)
        match chance.randrange(11):
            case 0 | 1:
                for _ in range(chance.randint(1, 6)):
                    if data:
                        data[chance.randrange(max(1, min(end, len(data))))] ^= 1 << chance.randrange(8)
            case 2:
                del data[chance.randint(0, len(data)) :]
            case 3:
                data[a:a] = chance.randbytes(chance.randint(1, 64))
            case 4:
                del data[a:b]
            case 5:
                data[a:b] = bytes(b - a)
            case 6:
                middle = (a + b) // 2
                data[a:b] = data[middle:b] + data[a:middle]
            case 7:
                huge = chance.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff", b"\0\0\x4e\x20"])
                if data[:4] == b"\x89PNG" and len(data) > 33:
                    # With the right checksum, so that the size is believed.
                    data[16:24] = huge + chance.choice([huge, bytes(data[20:24])])
                    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
                else:
                    data[a : a + 4] = huge
            case 8:
                data += content
            case 9:
                numbers = list(re.finditer(rb"\d+", data[8:2000]))
                if numbers:
                    number = chance.choice(numbers)
                    data[8 + number.start() : 8 + number.end()] = b"9" * len(number[0])
            case 10 if chance.random() < 0.3:
                data = bytearray(chance.choice([b"", chance.randbytes(200)]))
    return bytes(data)


def read_picture(content: bytes) -> None:
    Path("picture").write_bytes(content)
    picture = images.read(Path("picture"))
    assert picture.ndim == 4, picture.shape
    assert picture.shape[:2] == (1, 3), picture.shape
    assert torch.isfinite(picture).all(), "not finite"
    assert 0 <= picture.min() <= picture.max() <= 1, "outside [0, 1]"


def read_weights(reader: str, content: bytes) -> None:
    path = Path("mutated")
    path.write_bytes(content)
    readers = {"pth": weights.read_weights, "safetensors": weights.read_safetensors}
    try:
        readers.get(reader, checkpoints.load)(path)
    finally:
        assert not MARKER.exists(), "code was executed"


def child(kind: str) -> None:
    """Read every mutation; a JSON line before each (who crashed?) and one of all outcomes at the end."""
    bases = picture_bytes() if kind == "pictures" else weight_bytes()
    documented = ImageError if kind == "pictures" else StyleReproError
    outcomes: Counter[str] = Counter()
    odd = []
    warnings.simplefilter("error")
    for seed in range(SEEDS[kind]):
        print(json.dumps({"seed": seed}), flush=True)
        chance = random.Random(seed)
        base = bases[seed % len(bases)]
        # One in ten whole: the malicious pickles as they were written, too.
        change = (lambda content, _: content) if seed // len(bases) % 10 == 9 else mutate
        try:
            if kind == "pictures":
                read_picture(change(base, chance))
            else:
                read_weights(base[0], change(base[1], chance))
            outcomes["read"] += 1
        except documented:
            outcomes["refused"] += 1
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)
            where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(place[-3:]))
            what = "picture" if kind == "pictures" else base[0]
            odd.append([seed, what, type(error).__name__, str(error)[:300], where])
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    print(json.dumps({"outcomes": outcomes, "odd": odd, "peak": peak}))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
@pytest.mark.parametrize("kind", SEEDS)
def test_a_mutated_file_is_read_or_refused(kind, tmp_path):
    command = [sys.executable, "-W", "error", str(Path(__file__).resolve()), kind]
    root = str(Path(images.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"ended with {done.returncode} at {lines[-1:]}: {done.stderr[-1500:]}"
    told = json.loads(lines[-1])
    assert not told["odd"], f"neither read nor refused (seed, file, error, message, where): {told['odd']}"
    assert not (tmp_path / MARKER).exists()
    assert told["peak"] < LIMIT
    outcomes = told["outcomes"]
    assert outcomes["read"] >= 0.04 * SEEDS[kind]
    assert outcomes["refused"] >= 0.2 * SEEDS[kind]


if __name__ == "__main__":
    child(sys.argv[1])
