"""Generates the Python modules and the descriptor set (hello.pb) of hello.proto: generate.py PROTO_FOLDER OUTPUT_FOLDER."""

import os
import sys

import google.api.http_pb2
import grpc_tools
from grpc_tools import protoc


def main():
    proto_folder, output_folder = sys.argv[1:]
    # googleapis-common-protos ships the .proto files beside its modules.
    api_folder = os.path.dirname(google.api.http_pb2.__file__)
    return protoc.main([
        "protoc",
        "-I" + proto_folder,
        "-I" + os.path.dirname(os.path.dirname(api_folder)),
        "-I" + os.path.join(os.path.dirname(grpc_tools.__file__), "_proto"),
        "--python_out=" + output_folder,
        "--grpc_python_out=" + output_folder,
        "--include_imports",
        "--descriptor_set_out=" + os.path.join(output_folder, "hello.pb"),
        "hello.proto",
    ])


if __name__ == "__main__":
    sys.exit(main())
