"""How far a number may lie from the reference's and still agree with it: stated for each claim, by its measure."""

import math
from dataclasses import dataclass
from typing import Any

from stylerepro.errors import ClaimError
from stylerepro.ledger.rules import short_text

KINDS = ("absolute", "relative")


@dataclass(frozen=True)
class Tolerance:
    """`absolute`: in the units of the claim's value; `relative`: as a share of the reference's value."""

    kind: str
    size: float

    @classmethod
    def parse(cls, content: Any, where: str) -> "Tolerance":
        """From the ledger's `{absolute: x}` or `{relative: x}`. where: the claim, for the `ClaimError` of all else."""
        if not isinstance(content, dict) or len(content) != 1 or not set(content) <= set(KINDS):
            wanted = " or ".join(f"{{{kind}: number}}" for kind in KINDS)
            raise ClaimError(f"{where}: tolerance must be {wanted}, one of the two, not {content!r}.")
        ((kind, size),) = content.items()
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < math.inf:
            raise ClaimError(f"{where}: tolerance.{kind} must be a number above 0, not {size!r}.")
        return cls(kind, float(size))

    def agree(self, reference: float, other: float) -> bool:
        """Whether `other` lies within the tolerance around `reference`; its edge counts."""
        room = self.size * (abs(reference) if self.kind == "relative" else 1)
        return math.isclose(reference, other, rel_tol=1e-12) or abs(other - reference) <= room * (1 + 1e-12)

    def __str__(self) -> str:
        return f"±{short_text(100 * self.size)} %" if self.kind == "relative" else f"±{short_text(self.size)}"
