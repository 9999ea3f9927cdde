"""Runs a program as under a container's seccomp profile that forbids io_uring: its system calls fail with EPERM.

    without_io_uring.py PROGRAM [ARGUMENT]...
"""

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_WITH_EPERM = 0x7FFF0000, 0x00050001
# io_uring_setup, io_uring_enter and io_uring_register have these numbers on every architecture.
FORBIDDEN = (425, 426, 427)


def instruction(code, on_true, on_false, value):
    return struct.pack("HBBI", code, on_true, on_false, value)


def main():
    count = len(FORBIDDEN)
    filters = [instruction(LOAD_NUMBER, 0, 0, 0)]
    filters += [instruction(JUMP_IF_EQUAL, count - index, 0, number) for index, number in enumerate(FORBIDDEN)]
    filters += [instruction(RETURN, 0, 0, ALLOW), instruction(RETURN, 0, 0, FAIL_WITH_EPERM)]
    code = ctypes.create_string_buffer(b"".join(filters))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)):
        if libc.prctl(*arguments) != 0:
            sys.exit(f"prctl {arguments[0]}: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
