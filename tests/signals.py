"""Signals in the processes that tests start, whatever the shell has told the tests themselves to ignore."""

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def reset():
    """As a shell in the foreground leaves them: in the background SIGINT is ignored, under nohup SIGHUP."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
