"""How the libraries use the processor: every core, no spinning, memory kept. What the user has set is left alone.

Threads of OpenMP that spin while they wait slow everything else on the machine, and themselves beside it, many times
over. Memory that the allocator gives back after each step and takes again costs time in every step on a CPU.
benchmarks/processor.py measures each against the libraries' own settings.
"""

import contextlib
import os

_WAITING = "OMP_WAIT_POLICY"
_WAITING_OTHERS = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # the same setting under the names of one library each
_BINDING = ("VLLM_CPU_OMP_THREADS_BIND", "VLLM_CPU_NUM_OF_RESERVED_CPU")
# Each with its number and value for mallopt (-1: never trim) and its value for the environment, which counts from the
# start of a process on. Larger blocks stay with mmap: kept as well, they leave holes until the memory is used up.
_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 1 << 25, str(1 << 25)),  # bytes
    "MALLOC_TRIM_THRESHOLD_": (-1, -1, str((1 << 63) - 1)),
}


def wait_passively() -> None:
    """Set OpenMP's wait policy in the environment, which children inherit. It is read when torch is imported.

    libgomp looks a thousand times whether there is work before a thread sleeps: waking one takes long on a virtual
    machine, and that often the work comes at once.
    """
    if not any(name in os.environ for name in (_WAITING, *_WAITING_OTHERS)):
        os.environ[_WAITING], os.environ[_WAITING_OTHERS[0]] = "PASSIVE", "1000"


def keep_memory() -> None:
    """Let glibc keep freed memory, in this process and in its children; does nothing with another allocator."""
    import ctypes

    if "LD_PRELOAD" in os.environ or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # no glibc
        return
    for name, (parameter, value, in_environment) in _ALLOCATOR.items():
        mallopt(parameter, value)
        os.environ[name] = in_environment


def release_memory() -> None:
    """Return the free memory of a fragmented heap to the system; does nothing with another allocator than glibc.

    Where each training step has tensors of other sizes, the heap fragments, and the process grows step by step beyond
    what it uses. To be called between steps: within one it would undo `keep_memory`.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def use_every_core() -> None:
    """Bind vLLM on a CPU to all cores of this process; it would keep one for its front end, which mostly waits."""
    if not any(name in os.environ for name in _BINDING):
        os.environ[_BINDING[0]] = ",".join(map(str, sorted(os.sched_getaffinity(0))))


def settings() -> dict[str, str]:
    """What holds in this process, by the names of the variables."""
    names = (_WAITING, *_WAITING_OTHERS, "OMP_NUM_THREADS", *_ALLOCATOR, *_BINDING)
    return {name: os.environ[name] for name in names if name in os.environ}
