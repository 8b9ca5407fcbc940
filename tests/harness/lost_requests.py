"""What a kernel of ipykernel 7.0 to 7.3 needs in order to read all that it is sent.

While it sends a reply it can miss that a request has arrived, and then sits idle before it until
somebody else connects: https://github.com/ipython/ipykernel/issues/1554, mended in 7.4.
So somebody does, again and again, as a second notebook on the same kernel would.
"""

from __future__ import annotations

import threading
from typing import Self

import zmq
from ipykernel._version import version_info

CAN_LOSE_REQUESTS = (7,) <= version_info[:2] < (7, 4)


class Visitor:
    """Connects to the shell channel of a kernel twice a second, and says nothing."""

    def __init__(self, url: str) -> None:
        """Start to visit the kernel at this address."""
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._visit, name="visitor", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Visit no more."""
        self._ended.set()
        self._thread.join()

    def _visit(self) -> None:
        with zmq.Context() as context:
            while not self._ended.wait(0.5):
                with context.socket(zmq.DEALER) as socket:
                    socket.linger = 0
                    socket.connect(self._url)
                    self._ended.wait(0.1)  # a connection that is closed at once may never have been one
