package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

// Frames and flags of HTTP/2 (RFC 9113, section 6).
const (
	frameData, frameHeaders, frameReset, frameSettings      = 0, 1, 3, 4
	framePush, framePing, frameGoAway, frameWindow, frameOn = 5, 6, 7, 8, 9

	flagEndStream, flagAck, flagEndHeaders, flagPadded, flagPriority = 1, 1, 4, 8, 32

	frameHeadLength    = 9
	framePayloadMax    = 16384
	windowDefault      = 65535
	windowOurs         = 1 << 30
	settingInitialSize = 4
)

// grpcCalls makes one call after the other over a connection of its own, its frames made by hand: it is the yardstick for
// what a gateway adds, so it should cost no more than the HTTP/1.1 side.
type grpcCalls struct {
	block, message []byte
	wantedLength   int

	decoder *hpack.Decoder
	status  string
	stream  uint32
	// What may be sent now, and how much may be sent on a new stream.
	window, streamWindow int
	// The message waits for the window of the connection.
	isHeld bool
	// Bytes of a frame that is not whole.
	partial []byte
	// DATA of this answer, and of all answers since the window was given back.
	length, unreturned int
}

func newGRPC(path, authority string, message []byte, wantedLength int) *grpcCalls {
	calls := &grpcCalls{wantedLength: wantedLength, window: windowDefault, streamWindow: windowDefault}
	calls.decoder = hpack.NewDecoder(4096, func(field hpack.HeaderField) {
		if field.Name == "grpc-status" {
			calls.status = field.Value
		}
	})
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", authority},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		// Literal without indexing (RFC 7541, 6.2.2); all names and values are shorter than 127 bytes.
		calls.block = append(calls.block, 0, byte(len(field[0])))
		calls.block = append(append(calls.block, field[0]...), byte(len(field[1])))
		calls.block = append(calls.block, field[1]...)
	}
	calls.message = binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	calls.message = append(calls.message, message...)
	return calls
}

func appendFrame(out []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	out = append(out, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	out = binary.BigEndian.AppendUint32(out, stream)
	return append(out, payload...)
}

func (g *grpcCalls) greet(out []byte) []byte {
	out = append(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"...)
	settings := binary.BigEndian.AppendUint32([]byte{0, settingInitialSize}, windowOurs)
	out = appendFrame(out, frameSettings, 0, 0, settings)
	return appendFrame(out, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, windowOurs))
}

func (g *grpcCalls) ask(out []byte) ([]byte, error) {
	if g.stream++; g.stream > 1 {
		g.stream++
	}
	g.length, g.status = 0, ""
	out = appendFrame(out, frameHeaders, flagEndHeaders, g.stream, g.block)
	if len(g.message) > g.streamWindow {
		return out, fmt.Errorf("a message of %d bytes is larger than the window of a stream, %d", len(g.message), g.streamWindow)
	}
	g.isHeld = true
	return g.sendHeld(out), nil
}

func (g *grpcCalls) sendHeld(out []byte) []byte {
	if !g.isHeld || g.window < len(g.message) {
		return out
	}
	g.isHeld, g.window = false, g.window-len(g.message)
	rest := g.message
	for len(rest) > framePayloadMax {
		out = appendFrame(out, frameData, 0, g.stream, rest[:framePayloadMax])
		rest = rest[framePayloadMax:]
	}
	return appendFrame(out, frameData, flagEndStream, g.stream, rest)
}

func (g *grpcCalls) take(piece []byte, out []byte) ([]byte, bool, error) {
	g.partial = append(g.partial, piece...)
	rest, isDone := g.partial, false
	for len(rest) >= frameHeadLength {
		length := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
		if len(rest) < frameHeadLength+length {
			break
		}
		var ends bool
		var err error
		stream := binary.BigEndian.Uint32(rest[5:]) & (1<<31 - 1)
		if out, ends, err = g.takeFrame(rest[3], rest[4], stream, rest[frameHeadLength:frameHeadLength+length], out); err != nil {
			return out, false, err
		}
		isDone = isDone || ends
		rest = rest[frameHeadLength+length:]
	}
	g.partial = append(g.partial[:0], rest...)
	return out, isDone, nil
}

// takeFrame reads one frame, appends what is to be answered, and tells whether the call has ended.
func (g *grpcCalls) takeFrame(kind, flags byte, stream uint32, payload, out []byte) ([]byte, bool, error) {
	switch kind {
	case frameData:
		if flags&flagEndStream != 0 {
			return out, false, errors.New("a call ended without trailers")
		}
		g.length, g.unreturned = g.length+len(payload), g.unreturned+len(payload)
		if g.unreturned > 1<<20 {
			out = appendFrame(out, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(g.unreturned)))
			g.unreturned = 0
		}
	case frameHeaders:
		if flags&flagEndHeaders == 0 || flags&(flagPadded|flagPriority) != 0 {
			return out, false, errors.New("headers are padded or cut, which this client does not read")
		}
		if _, err := g.decoder.Write(payload); err != nil {
			return out, false, err
		}
		if err := g.decoder.Close(); err != nil {
			return out, false, err
		}
		if flags&flagEndStream != 0 {
			return out, true, g.end()
		}
	case frameSettings:
		if flags&flagAck == 0 {
			for ; len(payload) >= 6; payload = payload[6:] {
				if binary.BigEndian.Uint16(payload) == settingInitialSize {
					g.streamWindow = int(binary.BigEndian.Uint32(payload[2:]))
				}
			}
			out = appendFrame(out, frameSettings, flagAck, 0, nil)
		}
	case framePing:
		if flags&flagAck == 0 {
			out = appendFrame(out, framePing, flagAck, 0, payload)
		}
	case frameWindow:
		if stream == 0 && len(payload) == 4 {
			g.window += int(binary.BigEndian.Uint32(payload))
			out = g.sendHeld(out)
		}
	case frameReset, framePush, frameGoAway, frameOn:
		return out, false, fmt.Errorf("the server sent a frame of type %d", kind)
	}
	return out, false, nil
}

func (g *grpcCalls) end() error {
	if g.status != "0" {
		return fmt.Errorf("a call ended with grpc-status %.10q", g.status)
	}
	return checkLength(g.length, g.wantedLength)
}
