package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/net/http2/hpack"

	"transom.test/gateways/raw"
)

const windowOurs = 1 << 30

// grpcCalls makes calls over one connection, one in each lane at a time, its frames made by hand: it is the yardstick for what
// a gateway adds, so it should cost no more than the HTTP/1.1 side.
type grpcCalls struct {
	block, message []byte
	// Bytes that an answer must have in all; 0 if it must be the message that was sent.
	wantedLength int

	calls   []grpcCall
	decoder *hpack.Decoder
	status  string
	stream  uint32
	// What may be sent now, and how much may be sent on a new stream.
	window, streamWindow int
	// Lanes whose message waits for the window of the connection, in order.
	held []int
	// Bytes of a frame that is not whole.
	partial []byte
	// DATA of all answers since the window was given back.
	unreturned int
}

// grpcCall is what is under way in a lane.
type grpcCall struct {
	stream uint32
	length int
}

func newGRPC(path, authority string, message []byte, wantedLength, lanes int) *grpcCalls {
	g := &grpcCalls{wantedLength: wantedLength, calls: make([]grpcCall, lanes), window: raw.WindowDefault, streamWindow: raw.WindowDefault}
	g.decoder = hpack.NewDecoder(raw.TableDefault, func(field hpack.HeaderField) {
		if field.Name == "grpc-status" {
			g.status = field.Value
		}
	})
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", authority},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		g.block = raw.AppendLiteral(g.block, field[0], field[1])
	}
	g.message = binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	g.message = append(g.message, message...)
	return g
}

func (g *grpcCalls) greet(out []byte) []byte {
	out = append(out, raw.Preface...)
	out = raw.AppendFrame(out, raw.Settings, 0, 0, raw.AppendSetting(nil, raw.SettingWindow, windowOurs))
	return raw.AppendWindow(out, 0, windowOurs)
}

func (g *grpcCalls) ask(lane int, out []byte) ([]byte, error) {
	if g.stream++; g.stream > 1 {
		g.stream++
	}
	g.calls[lane] = grpcCall{stream: g.stream}
	out = raw.AppendFrame(out, raw.Headers, raw.EndHeaders, g.stream, g.block)
	if len(g.message) > g.streamWindow {
		return out, fmt.Errorf("a message of %d bytes is larger than the window of a stream, %d", len(g.message), g.streamWindow)
	}
	g.held = append(g.held, lane)
	return g.sendHeld(out), nil
}

func (g *grpcCalls) sendHeld(out []byte) []byte {
	for len(g.held) > 0 && g.window >= len(g.message) {
		g.window -= len(g.message)
		out = raw.AppendData(out, raw.EndStream, g.calls[g.held[0]].stream, g.message)
		g.held = append(g.held[:0], g.held[1:]...)
	}
	return out
}

func (g *grpcCalls) take(piece, out []byte, done []int) ([]byte, []int, error) {
	rest := piece
	if len(g.partial) > 0 {
		g.partial = append(g.partial, piece...)
		rest = g.partial
	}
	for {
		frame, after, isWhole, err := raw.NextFrame(rest)
		if err != nil {
			return out, done, err
		}
		if !isWhole {
			g.partial = append(g.partial[:0], rest...)
			return out, done, nil
		}
		if out, done, err = g.takeFrame(frame, out, done); err != nil {
			return out, done, err
		}
		rest = after
	}
}

// takeFrame appends what is to be answered, and the lane if its call has ended.
func (g *grpcCalls) takeFrame(frame raw.Frame, out []byte, done []int) ([]byte, []int, error) {
	switch frame.Kind {
	case raw.Data:
		if frame.Has(raw.EndStream) {
			return out, done, errors.New("a call ended without trailers")
		}
		content, err := frame.Content()
		if err != nil {
			return out, done, err
		}
		if err := g.receive(frame.Stream, content); err != nil {
			return out, done, err
		}
		if g.unreturned += len(frame.Payload); g.unreturned > 1<<20 {
			out = raw.AppendWindow(out, 0, g.unreturned)
			g.unreturned = 0
		}
	case raw.Headers:
		if !frame.Has(raw.EndHeaders) {
			return out, done, errors.New("headers are cut, which this client does not read")
		}
		block, err := frame.Content()
		if err != nil {
			return out, done, err
		}
		g.status = ""
		if _, err := g.decoder.Write(block); err != nil {
			return out, done, err
		}
		if err := g.decoder.Close(); err != nil {
			return out, done, err
		}
		if frame.Has(raw.EndStream) {
			lane, err := g.end(frame.Stream)
			return out, append(done, lane), err
		}
	case raw.Settings:
		if !frame.Has(raw.Ack) {
			out = raw.AppendFrame(out, raw.Settings, raw.Ack, 0, nil)
			return out, done, frame.Settings(g.obey)
		}
	case raw.Ping:
		if !frame.Has(raw.Ack) {
			out = raw.AppendFrame(out, raw.Ping, raw.Ack, 0, frame.Payload)
		}
	case raw.Window:
		increment, err := frame.Increment()
		if err != nil {
			return out, done, err
		}
		if frame.Stream == 0 {
			g.window += increment
			out = g.sendHeld(out)
		}
	case raw.Reset, raw.Push, raw.GoAway, raw.Continuation:
		return out, done, fmt.Errorf("the server sent a frame of type %d", frame.Kind)
	}
	return out, done, nil
}

func (g *grpcCalls) obey(name uint16, value uint32) error {
	switch name {
	case raw.SettingWindow:
		g.streamWindow = int(value)
	case raw.SettingStreams:
		if int64(value) < int64(len(g.calls)) {
			return fmt.Errorf("the server allows %d streams on a connection, %d are wanted", value, len(g.calls))
		}
	}
	return nil
}

func (g *grpcCalls) laneOf(stream uint32) (int, error) {
	lane := slices.IndexFunc(g.calls, func(call grpcCall) bool { return call.stream == stream })
	if lane < 0 {
		return 0, fmt.Errorf("a frame came for stream %d, on which nothing is under way", stream)
	}
	return lane, nil
}

// receive checks the bytes of an answer as they come.
func (g *grpcCalls) receive(stream uint32, content []byte) error {
	lane, err := g.laneOf(stream)
	if err != nil {
		return err
	}
	call := &g.calls[lane]
	start := call.length
	call.length += len(content)
	if g.wantedLength == 0 && (call.length > len(g.message) || !bytes.Equal(content, g.message[start:call.length])) {
		return errors.New("an answer is not the message that was sent")
	}
	return nil
}

func (g *grpcCalls) end(stream uint32) (int, error) {
	lane, err := g.laneOf(stream)
	if err != nil {
		return 0, err
	}
	wanted := g.wantedLength
	if wanted == 0 {
		wanted = len(g.message)
	}
	found := g.calls[lane].length
	// No call of this connection is on stream 0.
	g.calls[lane] = grpcCall{}
	if g.status != "0" {
		return lane, fmt.Errorf("a call ended with grpc-status %.10q", g.status)
	}
	return lane, checkLength(found, wanted)
}
