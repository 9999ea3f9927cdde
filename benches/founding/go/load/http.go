package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// greetOverHTTP asks for one greeting after the other on one connection, until the recorder's time is over.
func greetOverHTTP(target string, recorder *recorder) error {
	connection, err := net.Dial("tcp", target)
	if err != nil {
		return err
	}
	defer connection.Close()
	request := []byte("GET /v1/hello/Ada HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
	reader := bufio.NewReader(connection)
	var body []byte
	for {
		sent, ok := recorder.next()
		if !ok {
			return nil
		}
		if _, err := connection.Write(request); err != nil {
			return err
		}
		if body, err = readAnswer(reader, body[:0]); err != nil {
			return err
		}
		arrived := now()
		text, err := message(body)
		if err != nil {
			return err
		}
		if err := recorder.record(sent, arrived, text); err != nil {
			return err
		}
	}
}

// message is the text of a reply: {"message": "..."}, without escapes, white space anywhere.
func message(body []byte) ([]byte, error) {
	// The plain way through the body first: a full parser would cost as much as all the rest of the client.
	if _, rest, found := bytes.Cut(body, []byte(`{"message":`)); found {
		rest = bytes.TrimLeft(rest, " ")
		if len(rest) > 1 && rest[0] == '"' {
			if text, end, found := bytes.Cut(rest[1:], []byte{'"'}); found && string(bytes.TrimSpace(end)) == "}" {
				return text, nil
			}
		}
	}
	var reply struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return nil, fmt.Errorf("answered %.100q: %w", body, err)
	}
	return []byte(reply.Message), nil
}

// readAnswer reads one response and appends its body, which is of a given length or chunked.
func readAnswer(reader *bufio.Reader, body []byte) ([]byte, error) {
	line, err := readLine(reader)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return nil, fmt.Errorf("answered %.100q, expected 200", line)
	}
	length, chunked := -1, false
	for {
		if line, err = readLine(reader); err != nil {
			return nil, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("connection")) && bytes.EqualFold(bytes.TrimSpace(value), []byte("close")):
			return nil, errors.New("the server closes the connection after an answer")
		}
	}
	if !chunked {
		if length < 0 {
			return nil, errors.New("an answer without a length")
		}
		return readBytes(reader, body, length)
	}
	for {
		if line, err = readLine(reader); err != nil {
			return nil, err
		}
		size, err := strconv.ParseUint(string(line), 16, 20)
		if err != nil {
			return nil, err
		}
		if body, err = readBytes(reader, body, int(size)); err != nil {
			return nil, err
		}
		if line, err = readLine(reader); err != nil || len(line) != 0 {
			return nil, fmt.Errorf("a chunk ends in %.100q, %v", line, err)
		}
		if size == 0 {
			return body, nil
		}
	}
}

func readBytes(reader *bufio.Reader, body []byte, length int) ([]byte, error) {
	from := len(body)
	body = append(body, make([]byte, length)...)
	_, err := io.ReadFull(reader, body[from:])
	return body, err
}

func readLine(reader *bufio.Reader) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}
