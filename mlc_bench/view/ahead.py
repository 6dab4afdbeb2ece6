"""Items that another process makes ahead, so that two processors make an index."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from queue import Queue
from threading import Thread
from typing import Any, TypeVar

Item = TypeVar("Item")
_WAITING = 64  # items, pickled: what is made while this process has something else to do


def ahead(make: Callable[..., Iterator[Item]], *args: object) -> Iterator[Item]:
    """What `make(*args)` yields, made in a process of its own; its exceptions are raised here.

    `make`, its arguments and what it yields must be such that they can be sent to another process, best in large items.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_send, args=(ours, theirs, make, args), daemon=True)
    process.start()
    theirs.close()
    try:
        while (found := ours.recv()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found
    except EOFError:  # it was killed
        raise OSError("the process that reads ahead has ended; run the same command again") from None
    finally:
        ours.close()
        process.terminate()
        process.join()


def _send(ours: Connection, pipe: Connection, make: Callable[..., Iterator[Any]], args: tuple[object, ...]) -> None:
    ours.close()  # or the pipe would never break
    waiting: Queue[bytes | None] = Queue(_WAITING)
    Thread(target=_make, args=(waiting, make, args), daemon=True).start()
    try:
        while (pickled := waiting.get()) is not None:
            pipe.send_bytes(pickled)
    except (BrokenPipeError, KeyboardInterrupt):  # nobody reads on
        pass


def _make(waiting: "Queue[bytes | None]", make: Callable[..., Iterator[Any]], args: tuple[object, ...]) -> None:
    try:
        for item in make(*args):
            waiting.put(pickle.dumps(item))
        waiting.put(pickle.dumps(None))
    except Exception as error:
        waiting.put(pickle.dumps(error))
    finally:
        waiting.put(None)
