"""The Greeter on grpc.aio: greet_aio.py [asyncio|uvloop]."""

import asyncio
import sys

import greet
import grpc
import hello_pb2
import hello_pb2_grpc


class Greeter(hello_pb2_grpc.GreeterServicer):
    async def SayHello(self, request, context):
        message = greet.greet(request.name)
        return hello_pb2.HelloReply(message=greet.ended(message))


async def main():
    server = grpc.aio.server()
    hello_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    greet.listening(port)
    await server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1:] == ["uvloop"]:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
