"""The server behind the gateways: returns what it was sent, fails as asked, tells metadata, and keeps a record of its calls.

It runs in the process of run.py, which takes from the record what the upstream decoded for each request.
"""

import os
from concurrent import futures

import google.api.http_pb2
import grpc
import grpc_tools
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, text_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_tools import protoc

CODES = {code.value[0]: code for code in grpc.StatusCode}


def compile_proto(folder, output, files, *more):
    """Runs protoc on files with Google's protos on its path; fails with what protoc wrote."""
    # googleapis-common-protos ships the .proto files beside its modules.
    google_folder = os.path.dirname(os.path.dirname(os.path.dirname(google.api.http_pb2.__file__)))
    includes = [folder, google_folder, os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")]
    arguments = ["protoc", *("-I" + include for include in includes), "--include_imports", f"--descriptor_set_out={output}", *more]
    if protoc.main([*arguments, *files]):
        raise RuntimeError(f"protoc refuses {', '.join(files)}; see above")


class Upstream(grpc.GenericRpcHandler):
    """Listens on a free port of the loopback."""

    def __init__(self, descriptor_set):
        with open(descriptor_set, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        self.methods = {}
        for service in pool.FindFileByName("differential.proto").services_by_name.values():
            for method in service.methods:
                self.methods[f"/{service.full_name}/{method.name}"] = method
        self.record = []
        # Envoy passes the original target on as metadata, and what is above 8 KiB is by default refused now and then, by chance.
        self.server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[self], options=[("grpc.max_metadata_size", 1 << 16)])
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()

    def take_record(self):
        """What was called since the last look: method and decoded request as one line of text each."""
        record, self.record = self.record, []
        return record

    def service(self, call):
        method = self.methods.get(call.method)
        if method is None:
            self.record.append(f"unknown method {call.method}")
            return None
        answer = ANSWERS.get(method.name, lambda request, _method, _context: request)

        message_class = message_factory.GetMessageClass(method.input_type)

        def handle(frame, context):
            try:
                request = message_class.FromString(frame)
            except DecodeError:
                self.record.append(f"{method.name} cannot be decoded")
                context.abort(grpc.StatusCode.INTERNAL, "the request cannot be decoded")
            # Fields in order of their numbers, entries of maps by key.
            text = text_format.MessageToString(request, as_one_line=True, as_utf8=True)
            self.record.append(f"{method.name} {text}".strip())
            return answer(request, method, context)

        return grpc.unary_unary_rpc_method_handler(handle, response_serializer=lambda reply: reply.SerializeToString(deterministic=True))


def fail(request, _method, context):
    code = CODES.get(request.code)
    if code in (None, grpc.StatusCode.OK):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the test asks for code {request.code}")
    details = [detail_named(name) for name in request.details if name != "contradiction"]
    if request.details:
        contradicts = "contradiction" in request.details
        status = status_pb2.Status(
            code=2 if contradicts else request.code, message="another text" if contradicts else request.message, details=details
        )
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString(deterministic=True))])
    context.abort(code, request.message)


def detail_named(name):
    detail = any_pb2.Any()
    if name == "retry":
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=7)))
    elif name == "bad_request":
        violation = error_details_pb2.BadRequest.FieldViolation(field="name", description="is too short")
        detail.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    elif name == "debug":
        detail.Pack(error_details_pb2.DebugInfo(stack_entries=["first", "second"], detail="of the server"))
    elif name == "unknown":
        detail = any_pb2.Any(type_url="type.googleapis.com/nobody.knows.This", value=b"\x0a\x02hi")
    else:
        raise ValueError(f"no detail is called {name}")
    return detail


def tell_metadata(request, method, context):
    told = [(name, value) for name, value in context.invocation_metadata() if name in request.tell]
    context.send_initial_metadata([split_header(header) for header in request.headers])
    context.set_trailing_metadata([split_header(header) for header in request.trailers])
    if request.code:
        context.abort(CODES[request.code], "asked for")
    texts = sorted(f"{name}: {value.hex() if isinstance(value, bytes) else value}" for name, value in told)
    return message_factory.GetMessageClass(method.output_type)(told=texts)


def split_header(text):
    name, value = text.split(": ", 1)
    return name, bytes.fromhex(value) if name.endswith("-bin") else value


def return_part(request, _method, _context):
    return request.content


def make_raw(request, method, _context):
    return message_factory.GetMessageClass(method.output_type)(content_type=request.content_type, data=request.data)


# Methods that do not just return what they were sent.
ANSWERS = {"Fail": fail, "Metadata": tell_metadata, "RawPart": return_part, "RawReply": make_raw}
