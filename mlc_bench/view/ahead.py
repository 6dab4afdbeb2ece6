"""Rows that another process reads ahead, so that two processors make the index of a large file."""

import multiprocessing
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from typing import TypeVar

Item = TypeVar("Item")
_CHUNK = 500  # items that are sent at a time


def ahead(make: Callable[..., Iterator[Item]], *args: object) -> Iterator[Item]:
    """What `make(*args)` yields, made in a process of its own; its exceptions are raised here.

    `make`, its arguments and what it yields must be such that they can be sent to another process. The pipe between
    the two bounds how far that one is ahead.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_send, args=(theirs, make, args), daemon=True)
    process.start()
    theirs.close()
    try:
        while (found := ours.recv()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield from found
    except EOFError:  # it was killed
        raise OSError("the process that reads ahead has ended; run the same command again") from None
    finally:
        ours.close()
        process.terminate()
        process.join()


def _send(pipe: Connection, make: Callable[..., Iterator[Item]], args: tuple[object, ...]) -> None:
    try:
        items = make(*args)
        while chunk := list(islice(items, _CHUNK)):
            pipe.send(chunk)
        pipe.send(None)
    except BrokenPipeError:  # nobody reads on
        pass
    except Exception as error:
        pipe.send(error)
