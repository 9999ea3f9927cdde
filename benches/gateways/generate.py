"""protoc from grpcio-tools, with Google's protos on its path: generate.py PROTO_FOLDERS ARGUMENTS..."""

import os
import sys

import google.api.http_pb2
import grpc_tools
from grpc_tools import protoc

# googleapis-common-protos ships the .proto files beside its modules.
API = os.path.dirname(google.api.http_pb2.__file__)
INCLUDES = [*sys.argv[1].split(os.pathsep), os.path.dirname(os.path.dirname(API)), os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")]
sys.exit(protoc.main(["protoc", *("-I" + folder for folder in INCLUDES), *sys.argv[2:]]))
