// A vanguard-go transcoder before a reverse proxy, as its documentation shows it for a server elsewhere.
// The schema comes from a descriptor set; messages of bench.proto are of generated types, which vanguard finds by name.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"connectrpc.com/vanguard"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "transom.test/gateways/bench"
)

func main() {
	upstream := flag.String("upstream", "127.0.0.1:9090", "address of the gRPC server")
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	descriptors := flag.String("descriptor-set", "", "the schema, with all imports")
	flag.Parse()

	services, err := readServices(*descriptors, proxyTo(*upstream))
	if err != nil {
		log.Fatal(err)
	}
	transcoder, err := vanguard.NewTranscoder(services)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, transcoder))
}

func proxyTo(upstream string) http.Handler {
	var http2 http.Protocols
	http2.SetUnencryptedHTTP2(true)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream})
	proxy.Transport = &http.Transport{Protocols: &http2}
	return proxy
}

func readServices(path string, handler http.Handler) ([]*vanguard.Service, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, err
	}
	var services []*vanguard.Service
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for index := range file.Services().Len() {
			services = append(services, vanguard.NewServiceWithSchema(
				file.Services().Get(index), handler,
				vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
				vanguard.WithTargetCodecs(vanguard.CodecProto),
				vanguard.WithNoTargetCompression(),
			))
		}
		return true
	})
	return services, nil
}
