// The Greeter service of hello.proto on grpc-go: the server that all gateways of the comparison stand in front of.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"transom.test/gateways/hello"
)

type greeter struct {
	hello.UnimplementedGreeterServer
}

func (greeter) SayHello(_ context.Context, request *hello.HelloRequest) (*hello.HelloReply, error) {
	name := request.GetName()
	if name == "" {
		name = "world"
	}
	return &hello.HelloReply{Message: "Hello " + name + "!"}, nil
}

func (g greeter) SayHelloPlainly(ctx context.Context, request *hello.HelloRequest) (*hello.HelloReply, error) {
	return g.SayHello(ctx, request)
}

func (greeter) EchoNote(_ context.Context, note *hello.Note) (*hello.Note, error) {
	return note, nil
}

func (greeter) Fail(_ context.Context, request *hello.FailRequest) (*hello.HelloReply, error) {
	code := request.GetCode()
	if code < 0 || code > 16 {
		return nil, status.Errorf(codes.InvalidArgument, "there is no code %d", code)
	}
	if code == 0 {
		return &hello.HelloReply{}, nil
	}
	return nil, status.Error(codes.Code(code), request.GetMessage())
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	flag.Parse()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	hello.RegisterGreeterServer(server, greeter{})
	reflection.Register(server)
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}
