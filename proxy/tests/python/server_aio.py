"""The Greeter service on grpc.aio, grpcio's asyncio server."""

import asyncio

import greeter
import grpc
import hello_pb2
import hello_pb2_grpc
from grpc_reflection.v1alpha import reflection

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Greeter(hello_pb2_grpc.GreeterServicer):
    def __init__(self, record):
        self.record = record

    async def SayHello(self, request, context):
        self.record.begin(request.name)
        if request.name.startswith("wait"):
            self.record.waiting(context.time_remaining())
            try:
                await asyncio.sleep(greeter.WAIT_SECONDS)
            except asyncio.CancelledError:
                self.record.cancelled()
                raise
        self.record.answered()
        return greeter.greet(request.name)

    async def SayHelloPlainly(self, request, context):
        return greeter.greet(request.name)

    async def EchoNote(self, request, context):
        return request

    async def Fail(self, request, context):
        if request.code == 0:
            return hello_pb2.HelloReply()
        if request.code not in CODES:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"there is no code {request.code}")
        await context.abort(CODES[request.code], request.message)


async def main():
    record = greeter.Record()
    server = grpc.aio.server()
    hello_pb2_grpc.add_GreeterServicer_to_server(Greeter(record), server)
    reflection.enable_server_reflection(
        [hello_pb2.DESCRIPTOR.services_by_name["Greeter"].full_name, reflection.SERVICE_NAME], server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await asyncio.to_thread(greeter.obey_standard_input, record, port)
    await server.stop(grace=1)


if __name__ == "__main__":
    asyncio.run(main())
