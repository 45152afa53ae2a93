"""Compute on a cluster of dask: blocks of `flowsim.measures.block_map` are then read and computed by its
workers, which open the recording themselves.

Whatever else an analysis reads, it reads in this process: through a cluster it would come here all the same,
and more slowly. This needs the package distributed here, and the same environment in the scheduler and in all
workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle

from flowsim.errors import ClusterFailed

if TYPE_CHECKING:
    from distributed import Client

ANSWERS_WITHIN = 10.0
"""Seconds within which a scheduler has to answer."""
WORKS_WITHIN = 60.0
"""Seconds within which it has to have a worker."""
_connected: ContextVar[Client | None] = ContextVar("connected", default=None)


@contextmanager
def computing_at(address: str, recording: Path, sent: ModuleType | None = None) -> Iterator[None]:
    """Let `flowsim.measures.block_map` compute on a cluster within this context.

    Parameters
    ----------
    address : str
        Of its scheduler, such as tcp://node1:8786.
    recording : path
        What is going to be read; every worker has to see it at the same absolute path.
    sent : module, optional
        Whose functions are sent to workers as they are, because these cannot import them.

    Raises
    ------
    ClusterFailed
        If distributed is not installed, no scheduler answers at the address, it has no worker, one of them
        does not see the recording or has another flowsim, or the cluster is lost while it computes.
    """
    try:
        import distributed
    except ImportError:
        raise ClusterFailed(
            f"--scheduler {address}: expected the package distributed, which is not installed; "
            "pip install distributed"
        ) from None
    _require_scheduler(address)
    with distributed.Client(address, timeout=ANSWERS_WITHIN, set_as_default=False) as client:
        _require_workers(client, address, recording.resolve())
        if sent is not None:
            cloudpickle.register_pickle_by_value(sent)
        token = _connected.set(client)
        try:
            yield
        except distributed.KilledWorker as error:
            raise ClusterFailed(
                f"--scheduler {address}: expected workers that live; {error.allowed_failures + 1} died at "
                "the same block of the recording, one after the other. Give each more memory, or fewer cores"
            ) from None
        except (distributed.CancelledError, distributed.core.CommClosedError):
            raise ClusterFailed(
                f"--scheduler {address}: expected a cluster that is there until the end; the connection was "
                "lost. Start it again, and then the same command"
            ) from None
        finally:
            _connected.reset(token)


def _require_scheduler(address: str) -> None:
    """Raise ClusterFailed unless a scheduler answers."""
    try:
        kind = asyncio.run(asyncio.wait_for(_asked_what_it_is(address), ANSWERS_WITHIN))
    except TimeoutError:
        reason = f"nothing answered within {ANSWERS_WITHIN:.0f} s"
    except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
    else:
        if kind == "Scheduler":
            return
        reason = f"a {kind.lower()} answered"
    raise ClusterFailed(
        f"--scheduler {address}: expected the address of a dask scheduler, such as tcp://node1:8786; {reason}"
        ". Check the address, and that it runs"
    )


async def _asked_what_it_is(address: str) -> str:
    """What kind of server of dask is at an address; ``Client`` would wait for a silent one for ever."""
    import distributed

    secured = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, connection_args=secured) as server:
        answer = await server.identity()
    return str(answer["type"])


def _require_workers(client: Client, address: str, recording: Path) -> None:
    """Raise ClusterFailed unless there are workers, all of which see the recording and have this flowsim."""
    from flowsim import __version__

    try:
        client.wait_for_workers(1, timeout=WORKS_WITHIN)
    except TimeoutError:
        raise ClusterFailed(
            f"--scheduler {address}: expected a worker within {WORKS_WITHIN:.0f} s; it has none. Start one: "
            f"dask worker {address}"
        ) from None
    try:
        found: dict[str, tuple[str, bool]] = client.run(_version_and_sight, str(recording))
    except Exception as error:  # whatever the import of flowsim raises there
        reason = " ".join(str(error).split())
        raise ClusterFailed(
            f"--scheduler {address}: expected workers in the environment of this command; {reason}. Start "
            "them where this flowsim is installed"
        ) from None
    for worker, (version, sees) in found.items():
        if version != __version__:
            raise ClusterFailed(
                f"--scheduler {address}: expected flowsim {__version__} in every worker; {worker} "
                f"has {version}. Start it in the environment of this command"
            )
        if not sees:
            raise ClusterFailed(
                f"--scheduler {address}: expected workers that see {recording}; {worker} does not. Put it "
                "into a folder that all of them share"
            )


def _version_and_sight(path: str) -> tuple[str, bool]:
    """The version of flowsim in this process, and whether it sees a file."""
    from flowsim import __version__

    return __version__, Path(path).is_file()


def client_of_cluster() -> Client | None:
    """The client of the cluster that computes blocks: that of `computing_at`, or one that is open as dask's
    default; None if they are computed in this process.
    """
    from dask.base import get_scheduler

    client: Any = _connected.get() or getattr(get_scheduler(), "__self__", None)
    return client if hasattr(client, "nthreads") else None
