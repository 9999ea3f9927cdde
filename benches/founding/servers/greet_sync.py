"""The Greeter on grpcio's threaded server: greet_sync.py [THREADS [SWITCH_INTERVAL_MS]]."""

import concurrent.futures
import sys

import greet
import grpc
import hello_pb2
import hello_pb2_grpc

THREADS = 10


class Greeter(hello_pb2_grpc.GreeterServicer):
    def SayHello(self, request, context):
        message = greet.greet(request.name)
        return hello_pb2.HelloReply(message=greet.ended(message))


def main(threads=THREADS, switch_interval_ms=None):
    if switch_interval_ms:
        sys.setswitchinterval(float(switch_interval_ms) / 1e3)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=int(threads)))
    hello_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    greet.listening(port)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
