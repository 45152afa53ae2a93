"""``python flowsim_server.py SOCKET`` runs ``flowsim`` commands, each in a fork of itself, which has imported all
that takes seconds to import; ``python flowsim_server.py SOCKET ARGUMENTS`` asks it to run one, here.

What a test says of a pipeline is the same, and its jobs start at once. That a command starts in a process of its
own is what other tests are about.
"""

import json
import os
import socket
import sys


def ask(address: str, arguments: list[str]) -> int:
    """Let the server run a command in this folder, with this standard input, output and error; its status."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        command = json.dumps([os.getcwd(), *arguments]).encode()
        socket.send_fds(server, [len(command).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(command)
        return (server.recv(1) or b"\1")[0]


def serve(address: str) -> None:
    """Answer until the process is ended; a line on stdout says that it listens."""
    import socketserver

    import dask.array  # noqa: F401
    import h5netcdf  # noqa: F401
    import seaborn  # noqa: F401
    import torch
    import xarray  # noqa: F401

    from flowsim.commands.parser import verbs

    torch.set_num_threads(1)
    verbs()

    class Command(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            size, standard, *_ = socket.recv_fds(self.request, 4, 3)
            folder, *arguments = json.loads(self.rfile.read(int.from_bytes(size, "big")))
            os.chdir(folder)
            for number, descriptor in enumerate(standard):
                os.dup2(descriptor, number)
                os.close(descriptor)
            from flowsim.__main__ import main

            status = 1
            try:
                status = main(arguments)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                self.request.sendall(bytes([status]))

    class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
        pass

    with Server(address, Command) as server:
        print("listening", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    if sys.argv[2:]:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
