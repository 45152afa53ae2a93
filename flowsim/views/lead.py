"""What a report opens with: a sentence and at most four numbers, all from comparisons with the reference that
are beyond the luck of seeds, as `flowsim.effects.corrected` finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowsim.views.words import enumerated, number, sign

MOST = 4
"""Numbers in the strip."""


@dataclass(frozen=True)
class Difference:
    """One comparison of a network with the reference, whose interval leaves out no effect.

    ``effect`` with ``low`` and ``high`` are a ratio or a difference, as ``ratio`` says; the interval is that
    of all comparisons together. ``p`` is Holm's.
    """

    analysis: str
    label: str
    network: str
    better: bool
    ratio: bool
    effect: float
    low: float
    high: float
    p: float

    @property
    def value(self) -> str:
        """The effect as the strip has it."""
        return f"{sign(self.effect, self.ratio)}{number(self.effect, 2)}".replace(" ", "\N{NO-BREAK SPACE}")

    @property
    def interval(self) -> str:
        """Its interval."""
        return f"{number(self.low, 2)} to {number(self.high, 2)}"


def strip(found: Sequence[Difference]) -> list[Difference]:
    """At most `MOST` differences: of each analysis, in the order of the experiment, the least like luck."""
    by_analysis: dict[str, Difference] = {}
    for one in found:
        known = by_analysis.get(one.analysis)
        if known is None or one.p < known.p:
            by_analysis[one.analysis] = one
    return list(by_analysis.values())[:MOST]


def sentence(found: Sequence[Difference], reference: str, others: Sequence[str], quantities: int) -> str:
    """In how many quantities each network is worse or better than the reference, networks alike together.

    Parameters
    ----------
    found : sequence of Difference
    reference : str
    others : sequence of str
        The networks that were compared with it.
    quantities : int
        In how many they could be.
    """
    if not others or not quantities:
        return ""
    alike: dict[str, list[str]] = {}
    for network in others:
        better, worse = (
            sum(one.network == network and one.better == is_better for one in found)
            for is_better in (True, False)
        )
        said = [f"{side} in {n}" for side, n in (("worse", worse), ("better", better)) if n]
        alike.setdefault(" and ".join(said), []).append(network)
    parts = [
        f"{enumerated(names)} {'is' if len(names) == 1 else 'are'} {said}"
        for said, names in alike.items()
        if said
    ]
    same = alike.get("", [])
    if not parts:
        return (
            f"No network differs from {reference}, the reference, beyond the luck of seeds, in any of "
            f"{quantities} quantities."
        )
    ending = f"; {enumerated(same)} cannot be told from it" if same else ""
    return (
        f"Compared with {reference}, the reference, {enumerated(parts)} of {quantities} quantities{ending}, "
        "beyond the luck of seeds."
    )
