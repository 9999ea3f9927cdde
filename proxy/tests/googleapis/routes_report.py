"""Reads annotated APIs that others wrote, and says what Transom makes of each of their HTTP rules.

    python3 -m venv venv && venv/bin/pip install grpcio-tools
    venv/bin/python proxy/tests/googleapis/routes_report.py --transom target/release/transom --folder FOLDER

It fetches googleapis-common-protos from PyPI and google-proto-files from npm into FOLDER, unless they are there. Each .proto file with a
rule is given to `transom routes --json` by itself, as its users would. protoc compiles the same file, and the rules in its descriptors
are counted here, without Transom: routes and refusals together must be as many. Where Transom refuses a file, the rule that it names is
taken out of protoc's descriptors and the rest is given to it again, until it takes what is left, so that every refused rule has its reason.

The report goes to standard output as Markdown. Exit code 1: a rule was dropped in silence, or Transom ended as no refusal does.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

import grpc_tools
from google.protobuf import descriptor_pb2, empty_pb2, unknown_fields

RULE = 72295728  # google.api.http
PROTOC_FOLDER = pathlib.Path(grpc_tools.__file__).parent / "_proto"


def fetch(folder):
    """The folders that imports start from, by the name of the package with its version."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.glob("googleapis_common_protos-*.tar.gz")):
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "googleapis-common-protos", "-d", folder], check=True)
    if not any(folder.glob("google-proto-files-*.tgz")):
        npm = ["npm", "pack", "--silent", "google-proto-files"]
        subprocess.run(npm, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    roots = {}
    for archive in sorted([*folder.glob("*.tar.gz"), *folder.glob("*.tgz")]):
        name = archive.name.removesuffix(".tar.gz").removesuffix(".tgz")
        place = folder / "unpacked" / name
        if not place.is_dir():
            with tarfile.open(archive) as file:
                file.extractall(place, filter="data")
        roots[name] = next(path for path in place.iterdir() if path.is_dir())
    return roots


def rules_of(method):
    """How many bindings the rule of a method has; none if it has no rule."""
    found = [field.data for field in unknown_fields.UnknownFieldSet(method.options) if field.field_number == RULE]
    if not found:
        return 0
    rule = empty_pb2.Empty.FromString(found[-1])  # A message keeps what it does not know.
    return 1 + sum(field.field_number == 11 for field in unknown_fields.UnknownFieldSet(rule))


def methods_of(file):
    for service in file.service:
        for method in service.method:
            name = ".".join(filter(None, [file.package, service.name, method.name]))
            yield name, method


def run_transom(transom, arguments):
    # Left to itself Transom skips a rule that cannot be, and says so; here it has to end with it.
    with tempfile.NamedTemporaryFile(mode="w", suffix=".yaml") as settings:
        settings.write("bad_rules: refuse\n")
        settings.flush()
        command = [transom, "routes", "--json", "--config", settings.name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def count_rules(routes):
    """How many of these routes come from rules: each method has another at its own path, unless a rule owns that."""
    own = lambda route: "/" + "/".join(route["rpc"].rsplit(".", 1))
    return sum(not (route["path"] == own(route) and route["method"] == "POST") for route in routes)


def refused_rules(transom, descriptors, name):
    """Takes out what Transom refuses until it takes the rest; what it then has as routes, and the refusals with their counts."""
    refusals = []
    file = next(each for each in descriptors.file if each.name == name)
    methods = dict(methods_of(file))
    while True:
        with tempfile.NamedTemporaryFile(suffix=".binpb") as place:
            place.write(descriptors.SerializeToString())
            place.flush()
            done = run_transom(transom, ["--descriptor-set", place.name])
        if done.returncode == 0:
            return count_rules(json.loads(done.stdout)), refusals
        named = re.search(r"(\S+\.proto): ([\w.]+): (.*)", done.stderr)
        method = methods.get(named.group(2)) if named else None
        if done.returncode != 1 or method is None or not method.HasField("options"):
            raise RuntimeError(f"{name}: transom ended with {done.returncode}: {done.stderr}")
        refusals.append((named.group(2), rules_of(method), named.group(3)))
        method.ClearField("options")


def compile_all(root, names):
    """The descriptors of all these files and of what they import, by name, and what protoc says of those that it refuses."""
    refused = {}
    while True:
        wanted = [name for name in names if name not in refused]
        with tempfile.TemporaryDirectory() as folder:
            output = pathlib.Path(folder) / "set.binpb"
            command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"-I{PROTOC_FOLDER}", "--include_imports"]
            command += [f"--descriptor_set_out={output}", *wanted]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                files = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file
                return {file.name: file for file in files}, refused
        told = {}
        for line in done.stderr.splitlines():
            told.setdefault(line.split(":")[0], line)
        new = {name: line for name, line in told.items() if name in wanted}
        if not new:
            raise RuntimeError(f"protoc: {done.stderr[:2000]}")
        refused |= new


def set_of(files, name):
    """A file with all that it imports, and without services but its own: what it imports is looked at by itself."""
    names, pending = [], [name]
    while pending:
        each = pending.pop()
        if each not in names:
            names.append(each)
            pending += files[each].dependency
    result = descriptor_pb2.FileDescriptorSet()
    for each in names:
        result.file.add().CopyFrom(files[each])
        if each != name:
            result.file[-1].ClearField("service")
    return result


def look_at(transom, root, files, name):
    """What one file has, and what becomes of it."""
    methods = dict(methods_of(files[name]))
    rule_count = sum(rules_of(method) for method in methods.values())
    result = {"name": name, "methods": len(methods), "rules": rule_count, "refusals": [], "text": ""}
    done = run_transom(transom, ["--proto", str(root / name), "--proto-path", str(root)])
    if done.returncode == 0:
        routes = [route for route in json.loads(done.stdout) if route["rpc"] in methods]
        result["routes"] = count_rules(routes)
        return result
    result["text"] = done.stderr.strip()
    if done.returncode != 1:
        raise RuntimeError(f"{name}: transom ended with {done.returncode}: {done.stderr}")
    result["routes"], result["refusals"] = refused_rules(transom, set_of(files, name), name)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transom", required=True, help="the program")
    parser.add_argument("--folder", required=True, type=pathlib.Path, help="where the packages are kept")
    options = parser.parse_args()
    transom = os.path.abspath(options.transom)
    failed = False
    rows, refusals, notes = [], [], []
    for package, root in fetch(options.folder.resolve()).items():
        names = sorted(
            str(path.relative_to(root))
            for path in root.rglob("*.proto")
            if b"(google.api.http)" in path.read_bytes()
        )
        files, unread = compile_all(root, names)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            readable = [name for name in names if name not in unread]
            results = list(pool.map(lambda name: look_at(transom, root, files, name), readable))
        done = [result for result in results if result["rules"]]
        count = lambda key: sum(result[key] for result in done)
        refused = sum(rule_count for result in done for _, rule_count, _ in result["refusals"])
        rows.append((package, len(done), count("methods"), count("rules"), count("routes"), refused))
        for result in done:
            refusals += [(package, result["name"], *refusal) for refusal in result["refusals"]]
            if result["text"] and not result["refusals"]:
                notes.append((package, result["name"], result["text"]))
            if result["rules"] != result["routes"] + sum(each[1] for each in result["refusals"]):
                failed = True
                print(f"DROPPED: {result}", file=sys.stderr)
        notes += [(package, name, f"protoc: {text}") for name, text in unread.items()]
    print("| package | files with rules | methods in them | rules in the descriptors | routes | rules refused |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print("\nRefused rules:\n")
    for package, file, method, rule_count, reason in refusals:
        print(f"- {package} `{file}`, `{method}` ({rule_count}): {reason}")
    print("\nFiles that Transom took from protoc's descriptors only, or that protoc refuses:\n")
    alike = {}
    for package, file, text in notes:
        # The same text of many files is one line; it begins with the place of the file.
        alike.setdefault((package, text.split(": ", 2)[-1]), []).append(file)
    for (package, text), files in alike.items():
        print(f"- {package}, {len(files)} files, the first `{files[0]}`: {text}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
