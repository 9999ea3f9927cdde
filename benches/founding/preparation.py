"""Builds and fetches what the founding benchmark needs, into target/."""

import contextlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BUILD = os.path.join(TARGET, "founding")
PROGRAMS = os.path.join(BUILD, "bin")
SERVERS = os.path.join(HERE, "servers")
PROTO_FOLDER = os.path.join(ROOT, "protos", "test")
PROTO = "hello.proto"
BUILD_SECONDS = 1800


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(arguments, **options):
    subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=BUILD_SECONDS, **options)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def prepare_python():
    """An environment with grpcio, Starlette and its servers; made again when the requirements change."""
    folder = os.path.join(TARGET, "tools", "founding-python")
    program = os.path.join(folder, "bin", "python3")
    requirements = os.path.join(SERVERS, "requirements.txt")
    stamp = os.path.join(folder, "requirements.txt")
    with contextlib.suppress(FileNotFoundError):
        if read(stamp) == read(requirements):
            return program
    say("installing grpcio, Starlette, uvicorn and granian (once)")
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", folder])
    run([program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements])
    shutil.copyfile(requirements, stamp)
    return program


def prepare_programs(python):
    """Builds client and grpc-gateway from a copy of their source, beside which the code of hello.proto is generated; Python's too."""
    say("building the client and grpc-gateway with Go")
    source, modules = os.path.join(BUILD, "go"), os.path.join(BUILD, "python")
    for folder in (source, modules):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(HERE, "go"), source)
    run(["go", "install", "-mod=mod", "tool"], cwd=source, env={**os.environ, "GOBIN": PROGRAMS})
    generated = os.path.join(source, "hello")
    for folder in (generated, modules):
        os.makedirs(folder)
    package = f"M{PROTO}=transom.test/founding/hello"
    run([
        python, os.path.join(ROOT, "benches", "gateways", "generate.py"), PROTO_FOLDER, PROTO,
        *(f"--plugin=protoc-gen-{name}={PROGRAMS}/protoc-gen-{name}" for name in ("go", "go-grpc", "grpc-gateway")),
        f"--python_out={modules}", f"--grpc_python_out={modules}",
        f"--go_out={generated}", f"--go_opt=paths=source_relative,{package}",
        f"--go-grpc_out={generated}", f"--go-grpc_opt=paths=source_relative,{package}",
        f"--grpc-gateway_out={generated}", f"--grpc-gateway_opt=paths=source_relative,generate_unbound_methods=true,{package}",
    ])  # fmt: skip
    run(["go", "build", "-mod=readonly", "-o", PROGRAMS + os.sep, "./gateway", "./load"], cwd=source)
    return os.path.join(PROGRAMS, "load"), os.path.join(PROGRAMS, "gateway"), modules


def prepare_transom():
    say("building transom for release")
    run(["cargo", "build", "--release", "--locked", "--quiet", "-p", "transom"], cwd=ROOT)
    return os.path.join(TARGET, "release", "transom")
