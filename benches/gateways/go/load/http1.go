package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const headLengthMax = 64 << 10

// http1 sends one request over and over and reads the answers: the wanted status, a body by length or in chunks.
type http1 struct {
	request      []byte
	wantedStatus int
	wantedLength int

	step step
	// The head, or the line of a chunk, as far as it has come.
	line []byte
	// Bytes still to come of the body or of the chunk with its line end.
	missing int
	length  int
}

type step int

const (
	inHead step = iota
	inBody
	inChunkLine
	inChunk
	inTrailers
)

func (h *http1) greet(out []byte) []byte { return out }

func (h *http1) ask(_ int, out []byte) ([]byte, error) {
	h.step, h.line, h.length = inHead, h.line[:0], 0
	return append(out, h.request...), nil
}

func (h *http1) take(piece, out []byte, done []int) ([]byte, []int, error) {
	isDone, err := h.read(piece)
	if isDone {
		// There is one lane.
		done = append(done, 0)
	}
	return out, done, err
}

// read tells whether the answer is whole.
func (h *http1) read(piece []byte) (bool, error) {
	for {
		switch h.step {
		case inHead:
			rest, whole, err := h.gather(piece, "\r\n\r\n")
			if !whole || err != nil {
				return false, err
			}
			if err := h.readHead(); err != nil {
				return false, err
			}
			piece, h.line = rest, h.line[:0]
			if h.step == inBody && h.missing == 0 {
				return true, h.end(piece)
			}
		case inBody:
			used := min(h.missing, len(piece))
			if h.missing, piece = h.missing-used, piece[used:]; h.missing > 0 {
				return false, nil
			}
			return true, h.end(piece)
		case inChunkLine:
			rest, whole, err := h.gather(piece, "\r\n")
			if !whole || err != nil {
				return false, err
			}
			text, _, _ := strings.Cut(strings.TrimSpace(string(h.line)), ";")
			size, err := strconv.ParseUint(text, 16, 31)
			if err != nil {
				return false, fmt.Errorf("a chunk has the size %.20q", text)
			}
			piece, h.line, h.length = rest, h.line[:0], h.length+int(size)
			if h.step, h.missing = inChunk, int(size)+2; size == 0 {
				h.step = inTrailers
			}
		case inChunk:
			used := min(h.missing, len(piece))
			if h.missing, piece = h.missing-used, piece[used:]; h.missing > 0 {
				return false, nil
			}
			h.step = inChunkLine
		case inTrailers:
			rest, whole, err := h.gather(piece, "\r\n")
			if !whole || err != nil {
				return false, err
			}
			isLast := len(h.line) == 2
			if piece, h.line = rest, h.line[:0]; isLast {
				return true, h.end(piece)
			}
		}
	}
}

// gather moves bytes to `line` until it ends with `mark`; returns what follows.
func (h *http1) gather(piece []byte, mark string) ([]byte, bool, error) {
	// The mark may have begun in the piece before.
	from := max(len(h.line)-len(mark)+1, 0)
	before := len(h.line)
	h.line = append(h.line, piece...)
	at := bytes.Index(h.line[from:], []byte(mark))
	if at < 0 {
		if len(h.line) > headLengthMax {
			return nil, false, errors.New("a head or a chunk's line does not end")
		}
		return nil, false, nil
	}
	end := from + at + len(mark)
	h.line = h.line[:end]
	return piece[end-before:], true, nil
}

func (h *http1) readHead() error {
	lines := strings.Split(string(h.line[:len(h.line)-4]), "\r\n")
	if !strings.HasPrefix(lines[0], fmt.Sprintf("HTTP/1.1 %d ", h.wantedStatus)) {
		return fmt.Errorf("answered with %.100q", lines[0])
	}
	h.step, h.missing = inBody, -1
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "content-length"):
			length, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return fmt.Errorf("content-length is %.20q", value)
			}
			h.missing, h.length = int(length), int(length)
		case strings.EqualFold(name, "transfer-encoding") && strings.EqualFold(value, "chunked"):
			h.step, h.missing = inChunkLine, 0
		case strings.EqualFold(name, "connection") && strings.EqualFold(value, "close"):
			return errors.New("the connection is to be closed after an answer")
		}
	}
	if h.missing < 0 {
		return errors.New("an answer has neither content-length nor chunks")
	}
	return nil
}

func (h *http1) end(rest []byte) error {
	if len(rest) > 0 {
		return errors.New("bytes follow an answer")
	}
	return checkLength(h.length, h.wantedLength)
}

func checkLength(found, wanted int) error {
	if wanted > 0 && found != wanted {
		return fmt.Errorf("an answer has %d bytes, expected %d", found, wanted)
	}
	return nil
}
