package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"transom.test/gateways/raw"
)

// drainMax is how long requests that were due in time may take at the end before the run counts as failed.
const drainMax = 20 * time.Second

// A conversation is one connection's side of a protocol, with one request at a time in each of its lanes. Its functions append
// to `out` what is to be sent.
type conversation interface {
	greet(out []byte) []byte
	ask(lane int, out []byte) ([]byte, error)
	// take reads what has come, and appends to `done` the lanes whose answers are whole.
	take(piece, out []byte, done []int) ([]byte, []int, error)
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

// result is the line of JSON. A lag is how late this program sent a request although a lane was free: where it is
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
	lanes      []lane
	// Sent in part, or not yet.
	out []byte
	// Among those that are to be flushed.
	isTouched bool
}

// lane is a request under way, and when it was due; isBusy is false between requests.
type lane struct {
	connection *connection
	number     int
	due        time.Duration
	isBusy     bool
}

type loop struct {
	schedule
	poll        *raw.Poll
	connections map[int32]*connection
	// The lane that has been free longest is first.
	free    queue
	next    int64
	busy    int
	start   time.Time
	buffer  []byte
	done    []int
	touched []*connection

	latencies, lags histogram
	lastEnd         time.Duration
	queuedMax       int64
	// Since when a lane has been free; requests due before that had to wait for the gateway, not for this program.
	freeSince time.Duration
}

// queue has room for all lanes, so it never grows.
type queue struct {
	lanes       []*lane
	first, size int
}

func (q *queue) put(one *lane) {
	q.lanes[(q.first+q.size)%len(q.lanes)] = one
	q.size++
}

func (q *queue) get() *lane {
	one := q.lanes[q.first]
	q.first, q.size = (q.first+1)%len(q.lanes), q.size-1
	return one
}

func drive(address string, count, lanes int, dial func() conversation, s schedule) (*result, error) {
	poll, err := raw.NewPoll()
	if err != nil {
		return nil, err
	}
	l := &loop{
		schedule: s, poll: poll, connections: map[int32]*connection{}, buffer: make([]byte, 256<<10),
		free: queue{lanes: make([]*lane, count*lanes)},
	}
	opened := make([]*connection, count)
	for index := range opened {
		if opened[index], err = l.connect(address, lanes, dial()); err != nil {
			return nil, err
		}
	}
	// All connections come before the second lane of the first.
	for number := range lanes {
		for _, one := range opened {
			l.free.put(&one.lanes[number])
		}
	}
	l.start = time.Now()
	if err := l.run(); err != nil {
		return nil, err
	}
	return l.summary(), nil
}

func (l *loop) connect(address string, lanes int, c conversation) (*connection, error) {
	dialed, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer dialed.Close()
	descriptor, err := raw.Detach(dialed.(*net.TCPConn))
	if err != nil {
		return nil, err
	}
	opened := &connection{conversation: c, descriptor: descriptor, lanes: make([]lane, lanes)}
	for number := range opened.lanes {
		opened.lanes[number] = lane{connection: opened, number: number}
	}
	l.connections[int32(descriptor)] = opened
	if err := l.poll.Add(descriptor); err != nil {
		return nil, err
	}
	opened.out = c.greet(opened.out)
	return opened, opened.flush()
}

func (l *loop) run() error {
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
		events, err := l.poll.Wait(l.pause())
		if err != nil {
			return err
		}
		for _, event := range events {
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

// sendDue asks all that is due, and writes once for each connection.
func (l *loop) sendDue(now time.Duration) error {
	l.queuedMax = max(l.queuedMax, l.waiting(now))
	for l.free.size > 0 {
		due := now
		if l.rate > 0 {
			due = l.due(l.next)
		}
		if due > now || due >= l.end() {
			break
		}
		if l.rate > 0 && due >= l.warmUp {
			l.lags.add(now - max(due, l.freeSince))
		}
		sender := l.free.get()
		l.next++
		l.busy++
		sender.due, sender.isBusy = due, true
		c := sender.connection
		var err error
		if c.out, err = c.ask(sender.number, c.out); err != nil {
			return err
		}
		if !c.isTouched {
			c.isTouched = true
			l.touched = append(l.touched, c)
		}
	}
	for _, c := range l.touched {
		c.isTouched = false
		if err := c.flush(); err != nil {
			return err
		}
	}
	l.touched = l.touched[:0]
	return nil
}

// pause is how long nothing is to be sent, unless an answer comes.
func (l *loop) pause() time.Duration {
	limit := max(l.end()+drainMax-time.Since(l.start), 0)
	if l.rate == 0 || l.free.size == 0 {
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
		if c.out, l.done, err = c.take(l.buffer[:count], c.out, l.done[:0]); err != nil {
			return err
		}
		for _, number := range l.done {
			if !c.lanes[number].isBusy {
				return errors.New("an answer came that nothing had asked for")
			}
			l.finish(&c.lanes[number])
		}
		if err := c.flush(); err != nil {
			return err
		}
		if count < len(l.buffer) {
			return nil
		}
	}
}

func (l *loop) finish(one *lane) {
	now := time.Since(l.start)
	if one.due >= l.warmUp && one.due < l.end() {
		l.latencies.add(now - one.due)
		l.lastEnd = now
	}
	one.isBusy = false
	l.busy--
	if l.free.size == 0 {
		l.freeSince = now
	}
	l.free.put(one)
}

func (c *connection) flush() (err error) {
	c.out, err = raw.Flush(c.descriptor, c.out)
	return err
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
