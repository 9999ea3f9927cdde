package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"transom.test/gateways/raw"
)

const (
	// A request is gathered whole, so it must fit what a stream may send without being asked for more.
	requestMax = 1 << 20
	// No more is read from a connection that leaves so much of its answers unread.
	unsentMax = 1 << 20
	// Of a block of headers that comes in several frames.
	blockMax = 64 << 10

	contentType = "application/grpc"
	statusField = "grpc-status"
	// Indexes of RFC 7541, appendix A, and of the first field that a connection has added.
	indexStatus200, indexContentType, indexAdded = 8, 31, 62
)

// rawServer is the same server without grpc-go, whose share of a call is several times that of the gateway: one thread over
// epoll, frames by hand. It reads headers only for the path, and answers each request once it is whole.
type rawServer struct {
	poll        *raw.Poll
	listener    int
	connections map[int32]*rawConnection
	buffer      []byte
}

func serveRaw(listener net.Listener) error {
	poll, err := raw.NewPoll()
	if err != nil {
		return err
	}
	descriptor, err := raw.Detach(listener.(*net.TCPListener))
	if err != nil {
		return err
	}
	s := &rawServer{poll: poll, listener: descriptor, connections: map[int32]*rawConnection{}, buffer: make([]byte, 256<<10)}
	if err := poll.Add(descriptor); err != nil {
		return err
	}
	for {
		events, err := poll.Wait(raw.Forever)
		if err != nil {
			return err
		}
		for _, event := range events {
			if event.Fd == int32(descriptor) {
				if err := s.accept(); err != nil {
					return err
				}
				continue
			}
			c := s.connections[event.Fd]
			if err := s.serve(c); err != nil {
				if !errors.Is(err, errGone) {
					log.Printf("a connection is closed: %v", err)
				}
				delete(s.connections, event.Fd)
				unix.Close(c.descriptor)
			}
		}
	}
}

// errGone is the end of a connection by its client.
var errGone = errors.New("the client has gone")

func (s *rawServer) accept() error {
	for {
		descriptor, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case err != nil:
			return err
		}
		if err := unix.SetsockoptInt(descriptor, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
		s.connections[int32(descriptor)] = newRawConnection(descriptor)
		if err := s.poll.Add(descriptor); err != nil {
			return err
		}
	}
}

// serve sends what is left and reads until the socket is empty. If the client does not read, the poll tells when it does again.
func (s *rawServer) serve(c *rawConnection) error {
	for {
		var err error
		if c.out, err = raw.Flush(c.descriptor, c.out); err != nil {
			return errGone
		}
		if len(c.out) > unsentMax {
			return nil
		}
		count, err := unix.Read(c.descriptor, s.buffer)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || count == 0:
			return errGone
		}
		if err := c.take(s.buffer[:count]); err != nil {
			return err
		}
		if count < len(s.buffer) {
			c.out, err = raw.Flush(c.descriptor, c.out)
			if err != nil {
				return errGone
			}
			return nil
		}
	}
}

type rawConnection struct {
	descriptor int
	isGreeted  bool
	// Bytes of a frame that is not whole, and those to be sent.
	partial, out []byte
	decoder      *hpack.Decoder
	isTick       bool
	// Fragments of a block of headers, and its stream; 0 if none is open.
	block       []byte
	blockStream uint32
	blockFlags  byte

	streams map[uint32]*rawStream
	// Streams that have ended, for the next ones.
	spare []*rawStream
	// Streams with answers that wait for a window, in order.
	waiting []*rawStream
	// What may be sent on the connection, and on a new stream.
	window, streamWindow int
	// Bytes received since the window was given back.
	unreturned int

	// How the fields of answers are written: in full until they are in the client's table, and then by index.
	tableLength      uint32
	hasSized         bool
	contentTypeIndex byte
	statusIndex      byte
}

type rawStream struct {
	id         uint32
	isTick     bool
	isAnswered bool
	// What came, and then, from `sent` on, what is still to be sent.
	content []byte
	answer  []byte
	window  int
}

func newRawConnection(descriptor int) *rawConnection {
	c := &rawConnection{
		descriptor: descriptor, streams: map[uint32]*rawStream{}, tableLength: raw.TableDefault,
		window: raw.WindowDefault, streamWindow: raw.WindowDefault,
	}
	c.decoder = hpack.NewDecoder(raw.TableDefault, func(field hpack.HeaderField) {
		if field.Name == ":path" {
			c.isTick = strings.HasSuffix(field.Value, "/Tick")
		}
	})
	c.out = raw.AppendFrame(nil, raw.Settings, 0, 0, raw.AppendSetting(nil, raw.SettingWindow, requestMax))
	c.out = raw.AppendWindow(c.out, 0, raw.WindowMax-raw.WindowDefault)
	return c
}

func (c *rawConnection) take(piece []byte) error {
	rest := piece
	if len(c.partial) > 0 {
		c.partial = append(c.partial, piece...)
		rest = c.partial
	}
	if !c.isGreeted {
		known := min(len(rest), len(raw.Preface))
		if string(rest[:known]) != raw.Preface[:known] {
			return errors.New("the client does not speak HTTP/2")
		}
		if c.isGreeted = known == len(raw.Preface); c.isGreeted {
			rest = rest[known:]
		}
	}
	for c.isGreeted {
		frame, after, isWhole, err := raw.NextFrame(rest)
		if err != nil {
			return err
		}
		if !isWhole {
			break
		}
		if err := c.takeFrame(frame); err != nil {
			return err
		}
		rest = after
	}
	c.partial = append(c.partial[:0], rest...)
	return nil
}

func (c *rawConnection) takeFrame(frame raw.Frame) error {
	if c.blockStream != 0 && (frame.Kind != raw.Continuation || frame.Stream != c.blockStream) {
		return errors.New("a frame came between those of one block of headers")
	}
	switch frame.Kind {
	case raw.Headers:
		fragment, err := frame.Content()
		if err != nil {
			return err
		}
		return c.takeHeaders(frame, fragment, frame.Flags)
	case raw.Continuation:
		if c.blockStream == 0 {
			return errors.New("a block of headers goes on that had not begun")
		}
		return c.takeHeaders(frame, frame.Payload, c.blockFlags|frame.Flags&raw.EndHeaders)
	case raw.Data:
		return c.takeData(frame)
	case raw.Reset:
		// Not for the next one: it may be among those that wait.
		delete(c.streams, frame.Stream)
	case raw.Settings:
		if !frame.Has(raw.Ack) {
			c.out = raw.AppendFrame(c.out, raw.Settings, raw.Ack, 0, nil)
			return frame.Settings(c.obey)
		}
	case raw.Ping:
		if !frame.Has(raw.Ack) {
			c.out = raw.AppendFrame(c.out, raw.Ping, raw.Ack, 0, frame.Payload)
		}
	case raw.Window:
		increment, err := frame.Increment()
		if err != nil {
			return err
		}
		if frame.Stream == 0 {
			c.window += increment
		} else if stream := c.streams[frame.Stream]; stream != nil {
			stream.window += increment
		}
		c.sendWaiting()
	}
	return nil
}

func (c *rawConnection) obey(name uint16, value uint32) error {
	switch name {
	case raw.SettingWindow:
		for _, stream := range c.streams {
			stream.window += int(value) - c.streamWindow
		}
		c.streamWindow = int(value)
		c.sendWaiting()
	case raw.SettingTableLength:
		c.tableLength = value
	}
	return nil
}

func (c *rawConnection) takeHeaders(frame raw.Frame, fragment []byte, flags byte) error {
	c.blockStream, c.blockFlags = frame.Stream, flags
	if flags&raw.EndHeaders == 0 || len(c.block) > 0 {
		if len(c.block)+len(fragment) > blockMax {
			return fmt.Errorf("headers have more than %d bytes", blockMax)
		}
		c.block = append(c.block, fragment...)
		if flags&raw.EndHeaders == 0 {
			return nil
		}
		fragment = c.block
	}
	c.isTick = false
	if _, err := c.decoder.Write(fragment); err != nil {
		return err
	}
	if err := c.decoder.Close(); err != nil {
		return err
	}
	c.block, c.blockStream = c.block[:0], 0
	stream := c.streams[frame.Stream]
	if stream == nil {
		stream = &rawStream{}
		if last := len(c.spare) - 1; last >= 0 {
			stream, c.spare = c.spare[last], c.spare[:last]
		}
		*stream = rawStream{id: frame.Stream, isTick: c.isTick, content: stream.content[:0], window: c.streamWindow}
		c.streams[stream.id] = stream
	}
	if flags&raw.EndStream != 0 && !stream.isAnswered {
		c.answer(stream)
	}
	return nil
}

func (c *rawConnection) takeData(frame raw.Frame) error {
	content, err := frame.Content()
	if err != nil {
		return err
	}
	if c.unreturned += len(frame.Payload); c.unreturned > requestMax {
		c.out = raw.AppendWindow(c.out, 0, c.unreturned)
		c.unreturned = 0
	}
	stream := c.streams[frame.Stream]
	if stream == nil {
		// Of a call that has been given up.
		return nil
	}
	if len(stream.content)+len(content) > requestMax {
		return fmt.Errorf("a request has more than %d bytes", requestMax)
	}
	if stream.isAnswered {
		return errors.New("a request goes on behind its end")
	}
	stream.content = append(stream.content, content...)
	if frame.Has(raw.EndStream) {
		c.answer(stream)
	}
	return nil
}

// answer sends the message back, or the ticks that it asks for.
func (c *rawConnection) answer(stream *rawStream) {
	code := "0"
	stream.answer, stream.isAnswered = stream.content, true
	if whole := len(stream.content) - raw.PrefixLength; whole < 0 || stream.content[0] != 0 || int(binary.BigEndian.Uint32(stream.content[1:])) != whole {
		// INVALID_ARGUMENT, as for ticks without a count.
		code = "3"
	} else if stream.isTick {
		ticks, err := appendTicks(nil, stream.content[raw.PrefixLength:])
		if err != nil {
			code = "3"
		}
		stream.answer = ticks
	}
	c.appendHeaders(stream)
	if code != "0" {
		c.end(stream, code)
		return
	}
	if !c.send(stream) {
		c.waiting = append(c.waiting, stream)
	}
}

// send tells whether all has been sent, the trailers too.
func (c *rawConnection) send(stream *rawStream) bool {
	now := max(min(len(stream.answer), c.window, stream.window), 0)
	if now > 0 {
		c.out = raw.AppendData(c.out, 0, stream.id, stream.answer[:now])
		c.window, stream.window, stream.answer = c.window-now, stream.window-now, stream.answer[now:]
	}
	if len(stream.answer) > 0 {
		return false
	}
	c.end(stream, "0")
	return true
}

func (c *rawConnection) sendWaiting() {
	if len(c.waiting) == 0 {
		return
	}
	kept := c.waiting[:0]
	for _, stream := range c.waiting {
		if c.streams[stream.id] == stream && !c.send(stream) {
			kept = append(kept, stream)
		}
	}
	c.waiting = kept
}

func (c *rawConnection) end(stream *rawStream, code string) {
	start := len(c.out)
	c.out = raw.AppendFrame(c.out, raw.Headers, raw.EndHeaders|raw.EndStream, stream.id, nil)
	switch {
	case code != "0" || c.tableLength < raw.TableDefault:
		c.out = raw.AppendLiteral(c.out, statusField, code)
	case c.statusIndex == 0:
		c.statusIndex = c.add(&c.contentTypeIndex)
		// Literal with a new name, to be added (RFC 7541, 6.2.1).
		c.out = append(append(c.out, 0x40, byte(len(statusField))), statusField...)
		c.out = append(append(c.out, byte(len(code))), code...)
	default:
		c.out = append(c.out, 0x80|c.statusIndex)
	}
	c.out[start+2] = byte(len(c.out) - start - raw.HeadLength)
	answered.Add(1)
	delete(c.streams, stream.id)
	c.spare = append(c.spare, stream)
}

func (c *rawConnection) appendHeaders(stream *rawStream) {
	start := len(c.out)
	c.out = raw.AppendFrame(c.out, raw.Headers, raw.EndHeaders, stream.id, nil)
	if c.tableLength < raw.TableDefault && !c.hasSized {
		// The table is made empty before the first field (4.2).
		c.out = append(c.out, 0x20)
	}
	c.hasSized = true
	c.out = append(c.out, 0x80|indexStatus200)
	switch {
	case c.tableLength < raw.TableDefault:
		c.out = raw.AppendLiteral(c.out, "content-type", contentType)
	case c.contentTypeIndex == 0:
		c.contentTypeIndex = c.add(&c.statusIndex)
		c.out = append(append(c.out, 0x40|indexContentType, byte(len(contentType))), contentType...)
	default:
		c.out = append(c.out, 0x80|c.contentTypeIndex)
	}
	c.out[start+2] = byte(len(c.out) - start - raw.HeadLength)
}

// add returns the index of a field that is added to the table now; the other one, if it is there, moves up.
func (c *rawConnection) add(other *byte) byte {
	if *other != 0 {
		*other++
	}
	return indexAdded
}
