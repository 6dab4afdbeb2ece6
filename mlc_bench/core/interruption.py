"""SIGINT (Ctrl-C), SIGTERM and SIGHUP end a command alike: by an exception, so that what is done is kept.

Clusters send SIGTERM before they take a machine away, and a terminal that is closed sends SIGHUP.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """A signal has asked the command to end. `number` is the signal's."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Watch:
    """What has come in since `watching` began; `number` is that of the first signal, None without one."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.begin = time.time()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise Interrupted in the main thread; a second signal ends the process at once."""
        for other in SIGNALS:
            if signal.getsignal(other) == self.handle:
                signal.signal(other, signal.SIG_DFL)
        self.number = number
        raise Interrupted(number)


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Let signals raise Interrupted until the block ends; then they do what they did before.

    A signal that the process was started to ignore stays ignored: `nohup` does so with SIGHUP, and shells with the
    SIGINT of what they start in the background, so that Ctrl-C reaches the command in the foreground only.
    """
    watch = Watch()
    before = {}
    if threading.current_thread() is threading.main_thread():  # Python lets no other thread set a handler
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, watch.handle)
    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def stop_children(since: float) -> None:
    """End the processes that this one has started since a time (seconds since 1970), first kindly, then for good.

    An engine in a process of its own would go on otherwise, and keep the GPU.
    """
    import psutil

    started = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.create_time() >= since - 1 and "resource_tracker" not in " ".join(process.cmdline()):
                process.terminate()
                started.append(process)
    for process in psutil.wait_procs(started, timeout=3)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()
