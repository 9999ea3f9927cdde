// The server that the gateways stand in front of. It decodes nothing, so that it is not what limits them.
//
// By default it speaks gRPC by grpc-go: every unary method answers with the bytes of its request, and Tick of bench.proto with
// as many messages as are wanted. With -raw it does the same by hand, at a fraction of the cost. With -plain it answers over HTTP/1.1 with the JSON that a gateway would make of these.
// A second address tells how many calls have been answered, so that costs can be counted between two moments.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"transom.test/gateways/raw"
)

const (
	tickText  = "a small message"
	tickPath  = "/v1/ticks/"
	helloPath = "/v1/hello/"
	ticksMax  = 100_000
)

var answered atomic.Int64

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	isRaw := flag.Bool("raw", false, "gRPC without grpc-go")
	plain := flag.Bool("plain", false, "JSON over HTTP/1.1 instead of gRPC")
	flag.Parse()

	counting := mustListen("127.0.0.1:0")
	fmt.Fprintf(os.Stderr, "counting on http://%s\n", counting.Addr())
	go func() {
		log.Fatal(http.Serve(counting, http.HandlerFunc(func(reply http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(reply, answered.Load())
		})))
	}()
	listener := mustListen(*listen)
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", listener.Addr())
	if *plain {
		log.Fatal(http.Serve(listener, http.HandlerFunc(answerPlainly)))
	}
	if *isRaw {
		log.Fatal(serveRaw(listener))
	}
	log.Fatal(serveGRPC(listener))
}

func serveGRPC(listener net.Listener) error {
	return grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(answer)).Serve(listener)
}

func mustListen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// rawCodec hands messages through as they are on the wire.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(message any) (mem.BufferSlice, error) {
	return *message.(*mem.BufferSlice), nil
}

// The bytes belong to the caller, who frees them; Marshal's caller frees them once more.
func (rawCodec) Unmarshal(wire mem.BufferSlice, message any) error {
	wire.Ref()
	*message.(*mem.BufferSlice) = wire
	return nil
}

func answer(_ any, stream grpc.ServerStream) error {
	defer answered.Add(1)
	var request mem.BufferSlice
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	method, _ := grpc.MethodFromServerStream(stream)
	if strings.HasSuffix(method, "/Tick") {
		return tick(request.Materialize(), stream)
	}
	return stream.SendMsg(&request)
}

func tick(request []byte, stream grpc.ServerStream) error {
	count, err := countOf(request)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	for index := uint64(1); index <= count; index++ {
		message := mem.BufferSlice{mem.SliceBuffer(appendTick(nil, index))}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
	return nil
}

// countOf reads TickRequest, whose only field is `int32 count = 1`.
func countOf(request []byte) (uint64, error) {
	if len(request) == 0 || request[0] != 1<<3 {
		return 0, errors.New("TickRequest without a count")
	}
	count, read := binary.Uvarint(request[1:])
	if read <= 0 || count > ticksMax {
		return 0, fmt.Errorf("a count of 1 to %d is expected", ticksMax)
	}
	return count, nil
}

// appendTick appends a TickReply.
func appendTick(wire []byte, index uint64) []byte {
	wire = binary.AppendUvarint(append(wire, 1<<3), index)
	wire = append(wire, 2<<3|2, byte(len(tickText)))
	return append(wire, tickText...)
}

// appendTicks appends all that a request asks for, each behind its prefix.
func appendTicks(out, request []byte) ([]byte, error) {
	count, err := countOf(request)
	if err != nil {
		return nil, err
	}
	for index := uint64(1); index <= count; index++ {
		start := len(out)
		out = appendTick(append(out, 0, 0, 0, 0, 0), index)
		binary.BigEndian.PutUint32(out[start+1:], uint32(len(out)-start-raw.PrefixLength))
	}
	return out, nil
}

// answerPlainly answers what gateways answer: the greeting, lines of ticks, or the body that came.
func answerPlainly(reply http.ResponseWriter, request *http.Request) {
	defer answered.Add(1)
	reply.Header().Set("Content-Type", "application/json")
	if name, found := strings.CutPrefix(request.URL.Path, helloPath); found {
		fmt.Fprintf(reply, `{"message":%q}`, name)
		return
	}
	if text, found := strings.CutPrefix(request.URL.Path, tickPath); found {
		count, err := strconv.Atoi(text)
		if err != nil || count > ticksMax {
			http.Error(reply, "no count", http.StatusBadRequest)
			return
		}
		for index := range count {
			fmt.Fprintf(reply, "{\"index\":%d,\"text\":%q}\n", index+1, tickText)
		}
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(reply, "the body cannot be read", http.StatusBadRequest)
		return
	}
	reply.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = reply.Write(body)
}
