package raw

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poll is an edge-triggered epoll of one thread: Go's own wakes up to a millisecond late.
type Poll struct {
	descriptor int
	events     []unix.EpollEvent
}

// Forever is a pause without an end.
const Forever = time.Duration(-1)

// NewPoll keeps the calling goroutine on its thread.
func NewPoll() (*Poll, error) {
	runtime.LockOSThread()
	// The timer of the poll is exact to 50 microseconds unless the thread asks for better.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	descriptor, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &Poll{descriptor: descriptor, events: make([]unix.EpollEvent, 1024)}, err
}

func (p *Poll) Add(descriptor int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET&0xffffffff, Fd: int32(descriptor)}
	return unix.EpollCtl(p.descriptor, unix.EPOLL_CTL_ADD, descriptor, &event)
}

// Wait returns what can be read or written, after a pause at the latest: epoll_wait in nanoseconds, which Linux has since 5.11.
func (p *Poll) Wait(pause time.Duration) ([]unix.EpollEvent, error) {
	var timeout *unix.Timespec
	if pause != Forever {
		exact := unix.NsecToTimespec(pause.Nanoseconds())
		timeout = &exact
	}
	count, _, code := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.descriptor), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	switch code {
	case 0:
		return p.events[:count], nil
	case syscall.EINTR:
		return nil, nil
	default:
		return nil, fmt.Errorf("epoll_pwait2 (Linux 5.11 or later): %w", code)
	}
}

// Detach takes a socket out of Go's hands and off its poller.
func Detach(socket syscall.Conn) (int, error) {
	control, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	descriptor, failure := 0, error(nil)
	if err := control.Control(func(own uintptr) { descriptor, failure = unix.Dup(int(own)) }); err != nil {
		return 0, err
	}
	if failure != nil {
		return 0, failure
	}
	return descriptor, unix.SetNonblock(descriptor, true)
}

// Flush writes what the socket takes, and returns the rest.
func Flush(descriptor int, out []byte) ([]byte, error) {
	for len(out) > 0 {
		count, err := unix.Write(descriptor, out)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return out, err
		}
		out = append(out[:0], out[max(count, 0):]...)
	}
	return out, nil
}
