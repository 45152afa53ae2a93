"""Errors that a person can put right. The message is one line: what was expected, what came, what to do."""


class InputError(ValueError):
    """Something that a person gave (a file, a specification, an argument) cannot be used.

    The command line prints the message as one line and exits with status 2; from Python it is an
    ordinary ``ValueError``. Errors of any other kind are defects of flowsim and keep their traceback.
    """


class Damaged(InputError):
    """A file is not what was written. It says nothing about a network or an analysis."""


class CannotJudge(InputError):
    """What a network did cannot be judged, whatever the settings are: it diverged, or is dead.

    It concerns this network alone: `flowsim analyse` writes the reason in place of results, and figures and
    the report go on with the other networks.
    """
