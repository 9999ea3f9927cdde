package main

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"transom.test/gateways/raw"
)

// Goal: the server by hand answers grpc-go's client as grpc-go's server does. Method: the same calls to both.
func TestTheServerByHandAnswersLikeThatOfGRPC(t *testing.T) {
	byHand, byGRPC := mustListen("127.0.0.1:0"), mustListen("127.0.0.1:0")
	go func() { t.Error(serveRaw(byHand)) }()
	go func() { t.Error(serveGRPC(byGRPC)) }()
	for name, address := range map[string]string{"by hand": byHand.Addr().String(), "by grpc-go": byGRPC.Addr().String()} {
		client, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for number := range 100 {
			calls.Go(func() {
				// From nothing to many times the window of a stream.
				checkEcho(t, name, client, bytes.Repeat([]byte{byte(number)}, number*number*50))
				checkTicks(t, name, client, number*100)
			})
		}
		calls.Wait()
		if code := status.Code(invoke(t, client, "/bench.v1.Bench/Tick", []byte("x"), new([]byte))); code != codes.InvalidArgument {
			t.Errorf("%s: ticks without a count are answered with %v", name, code)
		}
		client.Close()
	}
}

func checkEcho(t *testing.T, name string, client *grpc.ClientConn, message []byte) {
	var found []byte
	if err := invoke(t, client, "/any.Service/Echo", message, &found); err != nil || !bytes.Equal(found, message) {
		t.Errorf("%s: %d bytes came back as %d, %v", name, len(message), len(found), err)
	}
}

func invoke(t *testing.T, client *grpc.ClientConn, path string, message []byte, found *[]byte) error {
	ends, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, reply := mem.BufferSlice{mem.SliceBuffer(message)}, mem.BufferSlice{}
	err := client.Invoke(ends, path, &request, &reply)
	*found = reply.Materialize()
	return err
}

func checkTicks(t *testing.T, name string, client *grpc.ClientConn, count int) {
	ends, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := client.NewStream(ends, &grpc.StreamDesc{ServerStreams: true}, "/bench.v1.Bench/Tick")
	if err != nil {
		t.Error(err)
		return
	}
	// A varint of two bytes, whatever the number.
	request := mem.BufferSlice{mem.SliceBuffer{1 << 3, byte(count) | 0x80, byte(count >> 7)}}
	if err := stream.SendMsg(&request); err != nil {
		t.Error(err)
		return
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	for index := 1; ; index++ {
		var reply mem.BufferSlice
		err := stream.RecvMsg(&reply)
		if err == io.EOF && index == count+1 {
			return
		}
		if err != nil || !bytes.Equal(reply.Materialize(), appendTick(nil, uint64(index))) {
			t.Errorf("%s: tick %d of %d is %q, %v", name, index, count, reply.Materialize(), err)
			return
		}
	}
}

// Goal: what a client may do that grpc-go's does not. Method: frames by hand, cut, padded and continued.
func TestHeadersInPiecesAndPaddedData(t *testing.T) {
	c := newRawConnection(-1)
	block := raw.AppendLiteral(nil, ":path", "/bench.v1.Bench/Tick")
	sent := []byte(raw.Preface)
	sent = raw.AppendFrame(sent, raw.Settings, 0, 0, raw.AppendSetting(nil, raw.SettingTableLength, 0))
	sent = raw.AppendFrame(sent, raw.Headers, raw.HasPriority, 1, append([]byte{0, 0, 0, 0, 16}, block[:5]...))
	sent = raw.AppendFrame(sent, raw.Continuation, 0, 1, block[5:9])
	sent = raw.AppendFrame(sent, raw.Continuation, raw.EndHeaders, 1, block[9:])
	sent = raw.AppendFrame(sent, raw.Data, raw.Padded|raw.EndStream, 1, []byte{3, 0, 0, 0, 0, 2, 1 << 3, 2, 0, 0, 0})
	c.out = nil
	for _, piece := range sent {
		if err := c.take([]byte{piece}); err != nil {
			t.Fatal(err)
		}
	}
	ticks, _ := appendTicks(nil, []byte{1 << 3, 2})
	wanted := raw.AppendFrame(nil, raw.Settings, raw.Ack, 0, nil)
	wanted = raw.AppendFrame(wanted, raw.Headers, raw.EndHeaders, 1, raw.AppendLiteral([]byte{0x20, 0x88}, "content-type", contentType))
	wanted = raw.AppendFrame(wanted, raw.Data, 0, 1, ticks)
	wanted = raw.AppendFrame(wanted, raw.Headers, raw.EndHeaders|raw.EndStream, 1, raw.AppendLiteral(nil, statusField, "0"))
	if !bytes.Equal(c.out, wanted) {
		t.Errorf("answered with %x, expected %x", c.out, wanted)
	}
	if err := c.take(raw.AppendFrame(nil, raw.Continuation, 0, 1, nil)); err == nil {
		t.Error("a block of headers that had not begun goes on")
	}
}
