"""Feed-forward networks and pictures so small that a test takes no time, and pictures as the bytes of a file."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch

from stylerepro.networks.feed_forward import StyleNetwork, architecture
from stylerepro.pictures import assets

NEEDS_REAL = pytest.mark.skipif(
    not assets.available("vgg16_features"), reason="needs the small file of vgg16-caffe: set STYLEREPRO_MIRROR"
)
SMALL = {"widths": (4, 6, 8), "residual_blocks": 1}


def small(name, **changes):
    return StyleNetwork(architecture(name, **(SMALL | changes))).eval()


def pictures(height, width, number=1):
    return torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(3))


def same(first, second):
    """Whether two networks have the same weights, bit for bit."""
    return all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


def kinds(network, kind):
    return [one for one in network.modules() if type(one) is kind]


def png(pixels, profile=b"", key=None, orientation=1, bits=None, size=None):
    """A PNG by hand: (H, W, 1 to 4), 8 or 16 bits, or grey of fewer; key: the transparent colour; size: as claimed."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = pixels.shape
    depth = bits or 8 * pixels.dtype.itemsize
    header = struct.pack(">IIBBBBB", *(size or (width, height)), depth, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = pixels.astype(f">u{pixels.dtype.itemsize}").reshape(height, -1)
    if bits:
        each = np.unpackbits(pixels.reshape(height, width, 1), axis=2)[..., -bits:]
        rows = np.packbits(each.reshape(height, -1), axis=1)
    turned = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HHI", orientation, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"iCCP", b"-\0\0" + zlib.compress(profile)) if profile else b""]
    chunks += [chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key is not None else b"", chunk(b"eXIf", turned)]
    chunks += [chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def saved(picture, kind="PNG", **options):
    """The bytes that Pillow writes of its picture."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
