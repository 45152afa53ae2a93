"""Errors that a person can put right. The message is one line: what was expected, what came, what to do."""

from __future__ import annotations

from collections.abc import Sequence


def did_you_mean(name: object, known: Sequence[str]) -> str:
    """The end of an error about an unknown name: the known one that is most like it, if one is alike."""
    from difflib import get_close_matches

    alike = get_close_matches(str(name), known, 1)
    return f". Did you mean {alike[0]}?" if alike else ""


class InputError(ValueError):
    """Something that a person gave (a file, a specification, an argument) cannot be used.

    The command line prints the message as one line and exits with status 2; from Python it is an
    ordinary ``ValueError``. Errors of any other kind are defects of flowsim and keep their traceback.
    """


class Damaged(InputError):
    """A file is not what was written. It says nothing about a network or an analysis."""


class ClusterFailed(InputError):
    """The machines on which an analysis was to compute cannot be used, or were lost. It says nothing about a
    network or an analysis.
    """


class CannotJudge(InputError):
    """What a network did cannot be judged, whatever the settings are: it diverged, or is dead.

    It concerns this network alone: `flowsim analyse` writes the reason in place of results, and figures and
    the report go on with the other networks.
    """
