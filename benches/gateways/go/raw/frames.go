// Package raw is what the load generator and the server have in common where they do without Go's own HTTP/2 and Go's own
// poller: both of these cost more than the gateway that stands between the two programs.
package raw

import (
	"encoding/binary"
	"fmt"
)

// Frames, flags, settings and sizes of HTTP/2 (RFC 9113, sections 6 and 4.2).
const (
	Data, Headers, Priority, Reset, Settings, Push, Ping, GoAway, Window, Continuation = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9

	EndStream, Ack, EndHeaders, Padded, HasPriority = 1, 1, 4, 8, 32

	SettingTableLength, SettingStreams, SettingWindow = 1, 3, 4

	HeadLength     = 9
	PayloadMax     = 16384
	WindowDefault  = 65535
	WindowMax      = 1<<31 - 1
	TableDefault   = 4096
	Preface        = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settingLength  = 6
	priorityLength = 5
)

// PrefixLength is of what stands before each message of gRPC: a flag and the length.
const PrefixLength = 5

type Frame struct {
	Kind, Flags byte
	Stream      uint32
	Payload     []byte
}

// NextFrame cuts the first frame off, if that is whole.
func NextFrame(from []byte) (frame Frame, rest []byte, isWhole bool, err error) {
	if len(from) < HeadLength {
		return Frame{}, from, false, nil
	}
	length := int(from[0])<<16 | int(from[1])<<8 | int(from[2])
	if length > PayloadMax {
		return Frame{}, nil, false, fmt.Errorf("a frame has %d bytes, at most %d are allowed", length, PayloadMax)
	}
	end := HeadLength + length
	if len(from) < end {
		return Frame{}, from, false, nil
	}
	stream := binary.BigEndian.Uint32(from[5:]) & WindowMax
	return Frame{Kind: from[3], Flags: from[4], Stream: stream, Payload: from[HeadLength:end]}, from[end:], true, nil
}

// Has tells whether a flag is set.
func (f Frame) Has(flag byte) bool { return f.Flags&flag != 0 }

// Content is the payload of DATA or HEADERS without padding and priority.
func (f Frame) Content() ([]byte, error) {
	content, padding := f.Payload, 0
	if f.Has(Padded) {
		if len(content) == 0 {
			return nil, fmt.Errorf("a frame of type %d is padded and empty", f.Kind)
		}
		content, padding = content[1:], int(content[0])
	}
	if f.Kind == Headers && f.Has(HasPriority) {
		if len(content) < priorityLength {
			return nil, fmt.Errorf("a frame of type %d ends within its priority", f.Kind)
		}
		content = content[priorityLength:]
	}
	if padding > len(content) {
		return nil, fmt.Errorf("a frame of type %d has more padding than bytes", f.Kind)
	}
	return content[:len(content)-padding], nil
}

// Settings calls `take` with each setting of a frame of that type.
func (f Frame) Settings(take func(name uint16, value uint32) error) error {
	if len(f.Payload)%settingLength != 0 {
		return fmt.Errorf("settings have %d bytes", len(f.Payload))
	}
	for rest := f.Payload; len(rest) > 0; rest = rest[settingLength:] {
		if err := take(binary.BigEndian.Uint16(rest), binary.BigEndian.Uint32(rest[2:])); err != nil {
			return err
		}
	}
	return nil
}

// Increment is the number in a WINDOW_UPDATE.
func (f Frame) Increment() (int, error) {
	if len(f.Payload) != 4 {
		return 0, fmt.Errorf("a window's update has %d bytes", len(f.Payload))
	}
	return int(binary.BigEndian.Uint32(f.Payload) & WindowMax), nil
}

func AppendFrame(out []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	out = append(out, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	out = binary.BigEndian.AppendUint32(out, stream)
	return append(out, payload...)
}

// AppendData cuts what is to be sent into frames, the last one with `flags`.
func AppendData(out []byte, flags byte, stream uint32, rest []byte) []byte {
	for len(rest) > PayloadMax {
		out = AppendFrame(out, Data, 0, stream, rest[:PayloadMax])
		rest = rest[PayloadMax:]
	}
	return AppendFrame(out, Data, flags, stream, rest)
}

func AppendSetting(payload []byte, name uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(payload, name), value)
}

func AppendWindow(out []byte, stream uint32, increment int) []byte {
	return AppendFrame(out, Window, 0, stream, binary.BigEndian.AppendUint32(nil, uint32(increment)))
}

// AppendLiteral appends a field that no table takes up (RFC 7541, 6.2.2). Name and value are shorter than 127 bytes.
func AppendLiteral(block []byte, name, value string) []byte {
	block = append(append(block, 0, byte(len(name))), name...)
	return append(append(block, byte(len(value))), value...)
}
