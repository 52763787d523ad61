"""Seccomp: a filter by which a process gives up system calls for good. It answers them with EPERM.

The filter refuses sockets, new processes and programs, signals to other processes, access to their memory, changes of
priorities and processors, shared memory and message queues of System V, keys, mounts, namespaces, and what programs the
kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from facefoundry.process.sandbox.kernel import NO_NEW_PRIVILEGES, prctl, syscall

__all__ = ["available", "restrict"]

# Numbers are those of x86-64, for which the images are made.
_MACHINE, _AUDIT_ARCH = "x86_64", 0xC000003E
_SECCOMP = 317
_SET_MODE_FILTER, _GET_ACTION_AVAILABLE = 1, 2
_SPEC_ALLOW = 1 << 2  # without it, kernels before 5.16 make every computation of the process slower
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_ERRNO = 0x00050000

_LOAD, _JUMP_EQUAL, _JUMP_SET, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16
_OTHER_ABI = 0x40000000  # numbers of the x32 interface
_CLONE_THREAD = 0x10000

_CLONE, _CLONE3, _KILL_PROCESS, _KILL_THREAD, _PRLIMIT = 56, 435, 62, 234, 302
_REFUSED = (
    *(41, 42, 43, 44, 46, 49, 50, 53, 288, 307),  # socket, connect, accept, send, bind, listen, socketpair
    *(57, 58, 59, 322),  # fork, vfork, execve, execveat
    *(129, 200, 297, 424, 434, 438),  # rt_sigqueueinfo, tkill, rt_tgsigqueueinfo, pidfd_*
    *(101, 310, 311, 312),  # ptrace, process_vm_readv and writev, kcmp
    *(141, 142, 144, 203, 251, 314),  # setpriority, sched_set*, ioprio_set: the next run has them from the child
    *(29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 220, 240),  # shm, sem and msg of System V, mq_open
    *(248, 249, 250),  # keys
    *(88, 133, 259, 266, 303, 304),  # symlink, mknod, file handles
    *(155, 161, 165, 166, 272, 308, 428, 429, 430, 431, 432, 433, 442),  # mounts, chroot, namespaces
    *(135, 163, 164, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 246, 313, 320),  # the system as a whole
    *(298, 321, 323, 425, 426, 427),  # perf_event_open, bpf, userfaultfd, io_uring
)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def available() -> bool:
    """Return whether this kernel has seccomp filters, and this machine is one for which the filter is made."""
    if platform.machine() != _MACHINE:
        return False
    try:
        action = (ctypes.c_ubyte * 4).from_buffer_copy(struct.pack("=I", _ERRNO))
        syscall(_SECCOMP, _GET_ACTION_AVAILABLE, 0, action)
    except OSError:
        return False
    return True


def restrict() -> None:
    """Give up the system calls for good, in this thread and in those that it starts.

    Raises:
        OSError: the kernel refuses.
    """
    prctl(NO_NEW_PRIVILEGES, 1)
    code = _filter(os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    syscall(_SECCOMP, _SET_MODE_FILTER, _SPEC_ALLOW, program)


def _filter(own_pid: int) -> bytes:
    refuse = _ERRNO | errno.EPERM
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_GREATER_EQUAL, 0, 1, _OTHER_ABI),
        (_RETURN, 0, 0, refuse),
        # The C library takes `clone`, whose flags can be seen here, when there is no `clone3`.
        (_JUMP_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for number in _REFUSED:
        steps += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    for number, jump, value in (
        (_CLONE, _JUMP_SET, _CLONE_THREAD),
        (_KILL_PROCESS, _JUMP_EQUAL, own_pid),
        (_KILL_THREAD, _JUMP_EQUAL, own_pid),
        (_PRLIMIT, _JUMP_EQUAL, 0),
    ):
        steps += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _ARGUMENT),
            (jump, 1, 0, value),
            (_RETURN, 0, 0, refuse),
            (_RETURN, 0, 0, _ALLOW),
        ]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
