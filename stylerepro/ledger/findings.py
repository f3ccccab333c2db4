"""What surprises most in a document, in words written for one verdict and with numbers that only tables fill in.

`finding` in a document's file has `claim`, `written_for` (the verdict that the words speak of) and `text`. Its
placeholders take the claim's row as `summary.evaluate` gives it: {value}, {low}, {high}, {effect}, {n}, {number},
{measured}, and {parts[1][value]} of the second measure of the rule; a format such as {value:.0%} may follow.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from stylerepro.errors import ClaimError
from stylerepro.ledger.rules import VERDICTS, short_text, stated_text

_KEYS = ("claim", "written_for", "text")
FIELDS = ("value", "low", "high", "effect", "n", "number", "measured", "parts")


@dataclass(frozen=True)
class Finding:
    """Words about one claim of a document, true as long as its verdict is the one that they were written for."""

    claim: str
    written_for: str
    text: str

    @classmethod
    def parse(cls, content: Any, document: str, claims: Collection[str]) -> "Finding":
        """From a document's file; claims: the ids it has.

        Raises `ClaimError` for a key, claim, verdict or placeholder that does not exist, and for a number typed in.
        """
        if not isinstance(content, dict) or set(content) != set(_KEYS):
            raise ClaimError(f"{document}.yaml: finding needs {', '.join(_KEYS)}, and nothing else.")
        found = cls(*(content[key].strip() if isinstance(content[key], str) else "" for key in _KEYS))
        where = f"{document}.yaml: the finding on {content['claim']}"
        if found.claim not in claims:
            raise ClaimError(f"{where} names no claim of the document, which has {', '.join(claims)}.")
        if found.written_for not in VERDICTS:
            raise ClaimError(f"{where}: written_for must be one of {', '.join(VERDICTS)}, not {found.written_for!r}.")
        try:
            pieces = list(Formatter().parse(found.text))
        except ValueError as error:
            raise ClaimError(f"{where}: {error} in its text.") from error
        names = {re.split(r"[.\[]", name)[0] for _, name, _, _ in pieces if name is not None}
        if not names or not names <= set(FIELDS):
            raise ClaimError(f"{where} needs placeholders in its text, of {', '.join(FIELDS)}: it has {sorted(names)}.")
        typed = re.search(r"\d+", " ".join(words for words, *_ in pieces))
        if typed:
            raise ClaimError(f"{where} types {typed[0]}: a number comes from the tables, by a placeholder.")
        return found

    def filled(self, row: Mapping[str, Any]) -> str:
        """The text with the numbers of the claim's row.

        Raises `ClaimError` when the row's verdict is no longer the one the text was written for, or has no such number.
        """
        if row["verdict"] != self.written_for:
            raise ClaimError(
                f"Claim {self.claim}: its finding was written for {self.written_for!r}, but the verdict is "
                f"{row['verdict']!r} ({row['reason']}). Read the claim again and write the finding anew."
            )
        try:
            text = self.text.format(**{name: _shown(row.get(name)) for name in FIELDS})
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise ClaimError(f"Claim {self.claim}: its finding asks for what is not there: {error}.") from error
        return " ".join(text.split())


class _Number(float):
    """A float that prints itself as people read it, unless a format says how."""

    def __format__(self, spec: str) -> str:
        return format(float(self), spec).replace("-", "−") if spec else short_text(self)


class _Missing:
    """What a claim does not have: an error where it is printed."""

    def __format__(self, spec: str) -> str:
        raise ValueError("one of its placeholders has no value")


def _shown(value: Any) -> Any:
    if value is None or value != value:
        return _Missing()
    if isinstance(value, float):
        return _Number(value)
    if isinstance(value, tuple):
        return stated_text(value)
    if isinstance(value, list):
        return [_shown(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _shown(one) for key, one in value.items()}
    return value
