"""The process of ``%tune dashboard``: serves one file until the kernel that started it is gone."""

from __future__ import annotations

import os
import sys
import threading


def main(url: str, port: int) -> None:
    """Serve a database on the loopback address."""
    from optuna_dashboard import run_server  # type: ignore[import-untyped]

    threading.Thread(target=_leave_with_the_kernel, daemon=True).start()
    run_server(url, host="127.0.0.1", port=port)


def _leave_with_the_kernel() -> None:
    sys.stdin.buffer.read()  # returns when the kernel's end of the pipe is closed, by whatever death
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
