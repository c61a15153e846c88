"""The errors of spprof's own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._profile import Profile


class ProfileFileError(ValueError):
    """A file that is no profile, or a damaged one; the message says what is wrong with it.

    partial: a `Profile` of what could be read, if that was anything; what is missing of it is in its losses, as dropped.
    """

    partial: Profile | None = None
