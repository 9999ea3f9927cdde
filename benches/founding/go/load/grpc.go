package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"transom.test/founding/hello"
)

const (
	path         = "/hello.v1.Greeter/SayHello"
	prefixLen    = 5
	windowLen    = 1 << 24
	windowStart  = 65535
	windowReturn = 1 << 20
)

// call is a stream that is open.
type call struct {
	sent  int64
	reply []byte
	// Whether the head of the answer said 200 and gRPC.
	begun bool
}

// caller is one HTTP/2 connection. Its one goroutine reads frames, and when there are none left to read it writes what came of them at once.
type caller struct {
	recorder *recorder
	framer   *http2.Framer
	reader   *bufio.Reader
	writer   *bufio.Writer
	// The header block of every call. It adds nothing to the dynamic table, so that it may be sent again and again.
	head    []byte
	request []byte
	calls   map[uint32]*call
	next    uint32
	// What may be sent, and what has been received and not been given back yet.
	window   int64
	received uint32
	// Calls that wait for the window.
	waiting int
}

// greetOverGRPC keeps calls in flight on one connection until the recorder's time is over.
func greetOverGRPC(target string, streams int, recorder *recorder) error {
	connection, err := net.Dial("tcp", target)
	if err != nil {
		return err
	}
	defer connection.Close()
	c := &caller{recorder: recorder, reader: bufio.NewReaderSize(connection, 1<<16), writer: bufio.NewWriterSize(connection, 1<<16)}
	c.calls, c.next, c.window = map[uint32]*call{}, 1, windowStart
	c.framer = http2.NewFramer(c.writer, c.reader)
	c.framer.SetReuseFrames()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if c.head, err = head(target); err != nil {
		return err
	}
	message, err := proto.Marshal(&hello.HelloRequest{Name: "Ada"})
	if err != nil {
		return err
	}
	c.request = append([]byte{0, 0, 0, 0, byte(len(message))}, message...)

	if _, err := c.writer.WriteString(http2.ClientPreface); err != nil {
		return err
	}
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: windowLen}); err != nil {
		return err
	}
	if err := c.framer.WriteWindowUpdate(0, windowLen-windowStart); err != nil {
		return err
	}
	c.waiting = streams
	for {
		if err := c.start(); err != nil {
			return err
		}
		if len(c.calls) == 0 && c.waiting == 0 {
			return c.writer.Flush()
		}
		if c.reader.Buffered() == 0 {
			if err := c.writer.Flush(); err != nil {
				return err
			}
		}
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		if err := c.take(frame); err != nil {
			return err
		}
	}
}

func head(target string) ([]byte, error) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSizeLimit(0)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", target},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "founding"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: field[0][0] != ':'}); err != nil {
			return nil, err
		}
	}
	return block.Bytes(), nil
}

// start opens the calls that wait, as far as the window allows.
func (c *caller) start() error {
	for c.waiting > 0 {
		if c.window < int64(len(c.request)) {
			return nil
		}
		if c.recorder.interval != 0 {
			// What was written, acknowledgements for one, is not to wait for the next call.
			if err := c.writer.Flush(); err != nil {
				return err
			}
		}
		sent, ok := c.recorder.next()
		if !ok {
			c.waiting = 0
			return nil
		}
		c.waiting--
		c.window -= int64(len(c.request))
		if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: c.head, EndHeaders: true}); err != nil {
			return err
		}
		if err := c.framer.WriteData(c.next, true, c.request); err != nil {
			return err
		}
		c.calls[c.next] = &call{sent: sent}
		c.next += 2
	}
	return nil
}

func (c *caller) take(frame http2.Frame) error {
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.takeHeaders(frame)
	case *http2.DataFrame:
		found := c.calls[frame.StreamID]
		if found == nil {
			return fmt.Errorf("data on the stream %d, which is not open", frame.StreamID)
		}
		found.reply = append(found.reply, frame.Data()...)
		c.received += frame.Length
		if c.received >= windowReturn {
			c.received = 0
			return c.framer.WriteWindowUpdate(0, windowReturn)
		}
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			return c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return c.framer.WritePing(true, frame.Data)
		}
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			c.window += int64(frame.Increment)
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("the stream %d was reset: %v", frame.StreamID, frame.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server ends the connection: %v %q", frame.ErrCode, frame.DebugData())
	}
	return nil
}

func (c *caller) takeHeaders(frame *http2.MetaHeadersFrame) error {
	found := c.calls[frame.StreamID]
	if found == nil {
		return fmt.Errorf("headers on the stream %d, which is not open", frame.StreamID)
	}
	if !found.begun {
		for _, field := range frame.Fields {
			if field.Name == ":status" && field.Value != "200" {
				return fmt.Errorf("answered %v", frame.Fields)
			}
		}
		found.begun = true
	}
	if !frame.StreamEnded() {
		return nil
	}
	arrived := now()
	for _, field := range frame.Fields {
		if field.Name == "grpc-status" && field.Value == "0" {
			text, err := reply(found.reply)
			if err != nil {
				return err
			}
			delete(c.calls, frame.StreamID)
			c.waiting++
			return c.recorder.record(found.sent, arrived, text)
		}
	}
	return fmt.Errorf("answered %v, expected grpc-status 0", frame.Fields)
}

// reply is the text in a framed HelloReply: its only field has the tag 0x0a and, being short, a length of one byte.
func reply(framed []byte) ([]byte, error) {
	if len(framed) < prefixLen+2 || framed[0] != 0 || int(framed[4]) != len(framed)-prefixLen || framed[5] != 0x0a || int(framed[6]) != len(framed)-prefixLen-2 {
		return nil, fmt.Errorf("answered %q, expected a HelloReply in one frame", framed)
	}
	return framed[prefixLen+2:], nil
}
