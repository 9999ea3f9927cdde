"""JSON on standard input to a message on standard output: encode.py DESCRIPTOR_SET MESSAGE. For calls by plain gRPC."""

import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

with open(sys.argv[1], "rb") as file:
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(file.read())
pool = descriptor_pool.DescriptorPool()
for descriptor in descriptors.file:
    pool.Add(descriptor)
message = message_factory.GetMessageClass(pool.FindMessageTypeByName(sys.argv[2]))()
sys.stdout.buffer.write(json_format.Parse(sys.stdin.read(), message, descriptor_pool=pool).SerializeToString())
