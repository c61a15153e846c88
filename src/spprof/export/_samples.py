"""Formats that need each sample can't be made of an aggregated profile."""

from __future__ import annotations

from .._profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._base import BaseProfile


def with_samples(profile: BaseProfile, format: str) -> Profile:
    """*profile*, which must be one with samples. Raises ValueError if it is not."""
    if not isinstance(profile, Profile):
        raise ValueError(  # noqa: TRY004  # of the right kind, but without what is needed
            f"format {format!r} needs the single samples, which an aggregated profile has not: save the Profile itself"
        )
    return profile
