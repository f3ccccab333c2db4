"""The names by which people and files know an architecture: no number rests on them, and so no run is stale by them."""

from dataclasses import asdict

from stylerepro.networks.feed_forward import ARCHITECTURES, Architecture

# Fields without effect on full convolutions.
_OF_SEPARABLE = ("multiplier", "multiplier_at", "separable_ends", "transposed", "norm_between")


def label(architecture: Architecture) -> str:
    """Return the nearest name of `ARCHITECTURES`, with what differs from it: "depsep, multiplier=1"."""
    mine = asdict(architecture)
    idle = _OF_SEPARABLE if architecture.convolution == "full" else ()
    differences = {
        name: [f"{key}={mine[key]}" for key, value in asdict(known).items() if mine[key] != value and key not in idle]
        for name, known in ARCHITECTURES.items()
    }
    nearest = min(differences, key=lambda name: len(differences[name]))
    return ", ".join([nearest, *differences[nearest]])
