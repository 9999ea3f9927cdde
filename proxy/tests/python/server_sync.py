"""The Greeter service on grpcio's threaded server."""

import concurrent.futures
import threading

import greeter
import grpc
import hello_pb2
import hello_pb2_grpc
from grpc_reflection.v1alpha import reflection

THREADS = 16
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Greeter(hello_pb2_grpc.GreeterServicer):
    def __init__(self, record):
        self.record = record

    def SayHello(self, request, context):
        self.record.begin(request.name)
        if request.name.startswith("wait"):
            self.record.waiting(context.time_remaining())
            over = threading.Event()
            if context.add_callback(over.set):
                over.wait(greeter.WAIT_SECONDS)
            self.record.cancelled()
        self.record.answered()
        return greeter.greet(request.name)

    def SayHelloPlainly(self, request, context):
        return greeter.greet(request.name)

    def EchoNote(self, request, context):
        return request

    def Fail(self, request, context):
        if request.code == 0:
            return hello_pb2.HelloReply()
        if request.code not in CODES:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"there is no code {request.code}")
        context.abort(CODES[request.code], request.message)


def main():
    record = greeter.Record()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=THREADS))
    hello_pb2_grpc.add_GreeterServicer_to_server(Greeter(record), server)
    reflection.enable_server_reflection(
        [hello_pb2.DESCRIPTOR.services_by_name["Greeter"].full_name, reflection.SERVICE_NAME], server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    greeter.obey_standard_input(record, port)
    server.stop(grace=1).wait()


if __name__ == "__main__":
    main()
