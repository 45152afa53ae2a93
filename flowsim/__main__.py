# PYTHON_ARGCOMPLETE_OK
"""``python -m flowsim VERB``, and the console script ``flowsim``: the command line of `flowsim.commands`."""

import os
import sys

if __name__ == "__main__" and sys.path[:1] == [os.getcwd()]:
    # ``python -m`` looks into the working directory first; a csv.py there must not hide the library's
    sys.path.append(sys.path.pop(0))


def main(argv: list[str] | None = None) -> int:
    """Run one verb; see `flowsim.commands.parser.main`.

    Signals are listened to before anything slow is imported, in a process of its own: where ``argv`` is not
    given.
    """
    from flowsim import stopping

    if argv is None:
        stopping.listen()
    else:
        stopping.forget()
    try:
        from flowsim.commands.parser import main as run

        return run(argv)
    except BaseException:
        if not stopping.requested():
            raise
        return stopping.said("flowsim")
    finally:
        stopping.leave()


def command() -> int:
    """Run the verb of the command line; see `main` and, for jobs of a pipeline, `flowsim.fork_client`."""
    from flowsim import fork_client

    status = fork_client.ask(sys.argv[1:])
    return main() if status is None else status


if __name__ == "__main__":
    sys.exit(command())
