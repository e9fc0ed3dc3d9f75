"""How a device is at the moment: what a phone tells, and a round asks for."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How a phone is, or has to be to take part."""

    idle: bool = False
    charging: bool = False
    unmetered: bool = False

    def meet(self, needed: "Conditions") -> bool:
        """Whether all that is needed holds."""
        return all(
            mine or not theirs for mine, theirs in zip(asdict(self).values(), asdict(needed).values(), strict=True)
        )
