package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// drainMax is how long requests that were due in time may take at the end before the run counts as failed.
const drainMax = 20 * time.Second

// A conversation is one connection's side of a protocol. Both functions append to `out` what is to be sent.
type conversation interface {
	greet(out []byte) []byte
	ask(out []byte) ([]byte, error)
	// take reads what has come, and tells whether the answer is whole.
	take(piece, out []byte) ([]byte, bool, error)
}

type schedule struct {
	rate             float64
	warmUp, duration time.Duration
}

// due is when request `number` is to be sent, from the start of the run.
func (s schedule) due(number int64) time.Duration {
	return time.Duration(float64(number) / s.rate * 1e9)
}

func (s schedule) end() time.Duration { return s.warmUp + s.duration }

// result is the line of JSON. A lag is how late this program sent a request although a connection was free: where it is
// not small beside the latencies, these are its own and not the gateway's.
type result struct {
	Requests  uint64  `json:"requests"`
	Rate      float64 `json:"rate"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p999_ms"`
	Max       float64 `json:"max_ms"`
	LagP99    float64 `json:"lag_p99_ms"`
	QueuedMax int64   `json:"queued_max"`
}

type connection struct {
	conversation
	descriptor int
	// Sent in part.
	out []byte
	// When the request under way was due; busy is false between requests.
	due    time.Duration
	isBusy bool
}

type loop struct {
	schedule
	poll        int
	connections map[int32]*connection
	free        []*connection
	next        int64
	busy        int
	start       time.Time
	buffer      []byte

	latencies, lags histogram
	lastEnd         time.Duration
	queuedMax       int64
	// Since when a connection has been free; requests due before that had to wait for the gateway, not for this program.
	freeSince time.Duration
}

func drive(address string, count int, dial func() conversation, s schedule) (*result, error) {
	// The timer of the poll below is exact to 50 microseconds unless the thread asks for better.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &loop{schedule: s, poll: poll, connections: map[int32]*connection{}, buffer: make([]byte, 256<<10)}
	for range count {
		if err := l.connect(address, dial()); err != nil {
			return nil, err
		}
	}
	l.start = time.Now()
	if err := l.run(); err != nil {
		return nil, err
	}
	return l.summary(), nil
}

// connect takes the socket out of Go's hands, since Go's own poll wakes up to a millisecond late.
func (l *loop) connect(address string, c conversation) error {
	dialed, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	file, err := dialed.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	descriptor, err := unix.Dup(int(file.Fd()))
	if err != nil {
		return err
	}
	file.Close()
	dialed.Close()
	if err := unix.SetNonblock(descriptor, true); err != nil {
		return err
	}
	opened := &connection{conversation: c, descriptor: descriptor}
	l.connections[int32(descriptor)] = opened
	l.free = append(l.free, opened)
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET&0xffffffff, Fd: int32(descriptor)}
	if err := unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, descriptor, &event); err != nil {
		return err
	}
	opened.out = c.greet(opened.out)
	return opened.flush()
}

func (l *loop) run() error {
	events := make([]unix.EpollEvent, 1024)
	for {
		now := time.Since(l.start)
		if err := l.sendDue(now); err != nil {
			return err
		}
		if l.busy == 0 && l.isOver(now) {
			return nil
		}
		if now > l.end()+drainMax {
			return fmt.Errorf("%d requests are unanswered and %d unsent %s after the end", l.busy, l.waiting(l.end()), drainMax)
		}
		count, err := waitFor(l.poll, events, l.pause())
		if err != nil {
			return err
		}
		for _, event := range events[:count] {
			if err := l.serve(l.connections[event.Fd]); err != nil {
				return err
			}
		}
	}
}

// isOver tells whether no request is due any more.
func (l *loop) isOver(now time.Duration) bool {
	return now >= l.end() && (l.rate == 0 || l.due(l.next) >= l.end())
}

// waiting is how many requests are due and not yet sent.
func (l *loop) waiting(now time.Duration) int64 {
	if l.rate == 0 {
		return 0
	}
	return max(int64(min(now, l.end()).Seconds()*l.rate)-l.next, 0)
}

func (l *loop) sendDue(now time.Duration) error {
	l.queuedMax = max(l.queuedMax, l.waiting(now))
	for len(l.free) > 0 {
		due := now
		if l.rate > 0 {
			due = l.due(l.next)
		}
		if due > now || due >= l.end() {
			return nil
		}
		if l.rate > 0 && due >= l.warmUp {
			l.lags.add(now - max(due, l.freeSince))
		}
		sender := l.free[0]
		l.free = l.free[1:]
		l.next++
		l.busy++
		sender.due, sender.isBusy = due, true
		var err error
		if sender.out, err = sender.ask(sender.out); err != nil {
			return err
		}
		if err := sender.flush(); err != nil {
			return err
		}
	}
	return nil
}

// pause is how long nothing is to be sent, unless an answer comes.
func (l *loop) pause() time.Duration {
	limit := max(l.end()+drainMax-time.Since(l.start), 0)
	if l.rate == 0 || len(l.free) == 0 {
		return limit
	}
	due := l.due(l.next)
	if due >= l.end() {
		due = l.end()
		if l.busy > 0 {
			return limit
		}
	}
	return max(min(due-time.Since(l.start), limit), 0)
}

// serve sends what is left and reads until the socket is empty, as an edge-triggered poll demands.
func (l *loop) serve(c *connection) error {
	if err := c.flush(); err != nil {
		return err
	}
	for {
		count, err := unix.Read(c.descriptor, l.buffer)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if count == 0 {
			return errors.New("the server closed a connection")
		}
		var isDone bool
		if c.out, isDone, err = c.take(l.buffer[:count], c.out); err != nil {
			return err
		}
		if isDone {
			if !c.isBusy {
				return errors.New("an answer came that nothing had asked for")
			}
			l.finish(c)
		}
		if err := c.flush(); err != nil {
			return err
		}
		if count < len(l.buffer) {
			return nil
		}
	}
}

func (l *loop) finish(c *connection) {
	now := time.Since(l.start)
	if c.due >= l.warmUp && c.due < l.end() {
		l.latencies.add(now - c.due)
		l.lastEnd = now
	}
	c.isBusy = false
	l.busy--
	if len(l.free) == 0 {
		l.freeSince = now
	}
	l.free = append(l.free, c)
}

func (c *connection) flush() error {
	for len(c.out) > 0 {
		count, err := unix.Write(c.descriptor, c.out)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		c.out = append(c.out[:0], c.out[max(count, 0):]...)
	}
	return nil
}

func (l *loop) summary() *result {
	milliseconds := func(value time.Duration) float64 { return value.Seconds() * 1e3 }
	span := max(l.lastEnd-l.warmUp, time.Nanosecond)
	return &result{
		Requests:  l.latencies.total,
		Rate:      float64(l.latencies.total) / span.Seconds(),
		P50:       milliseconds(l.latencies.quantile(0.5)),
		P90:       milliseconds(l.latencies.quantile(0.9)),
		P99:       milliseconds(l.latencies.quantile(0.99)),
		P999:      milliseconds(l.latencies.quantile(0.999)),
		Max:       milliseconds(l.latencies.max),
		LagP99:    milliseconds(l.lags.quantile(0.99)),
		QueuedMax: l.queuedMax,
	}
}

// waitFor is epoll_wait with a timeout in nanoseconds, which Linux has since 5.11.
func waitFor(poll int, events []unix.EpollEvent, pause time.Duration) (int, error) {
	timeout := unix.NsecToTimespec(pause.Nanoseconds())
	count, _, code := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(poll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&timeout)), 0, 0)
	switch code {
	case 0:
		return int(count), nil
	case syscall.EINTR:
		return 0, nil
	default:
		return 0, fmt.Errorf("epoll_pwait2 (Linux 5.11 or later): %w", code)
	}
}
