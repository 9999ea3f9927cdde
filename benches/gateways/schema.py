"""Schemas with as many routes as are wanted: those of bench.proto, and generated ones with everyday kinds of paths."""

# Routes of bench.proto itself.
OWN_ROUTES = 4
LEAST_ROUTES = 10
METHODS_PER_FILE = 100
# So many of the generated routes are asked in turn.
ASKED_ROUTES = 16

KINDS = (
    'get: "/v1/things{0}/{{name}}"',
    'post: "/v1/things{0}" body: "*"',
    'get: "/v1/{{name=projects/*/things{0}/*}}"',
    'post: "/v1/things{0}/{{name}}:move" body: "*"',
)


class Schema:
    """`count` routes in all. `files` holds the text of each generated proto by its name."""

    def __init__(self, count):
        self.count = count
        generated = count - OWN_ROUTES
        starts = range(0, generated, METHODS_PER_FILE)
        self.files = {f"routes{number}.proto": proto(number, range(start, min(start + METHODS_PER_FILE, generated))) for number, start in enumerate(starts)}
        plain = range(0, generated, len(KINDS))
        step = max(len(plain) // ASKED_ROUTES, 1)
        self.asked_paths = [f"/v1/things{index}/Ada" for index in plain[::step][:ASKED_ROUTES]]

    @property
    def services(self):
        return ["bench.v1.Bench", *(f"bench.routes{number}.Routes{number}" for number in range(len(self.files)))]

    @property
    def plain_methods(self):
        """All whose path has captures of whole segments only, as services and as `service/method`."""
        generated = (index for index in range(self.count - OWN_ROUTES) if not any(mark in KINDS[index % len(KINDS)] for mark in ("=", "}}:")))
        return ["bench.v1.Bench", *(f"bench.routes{index // METHODS_PER_FILE}.Routes{index // METHODS_PER_FILE}/Call{index}" for index in generated)]

    def go_registry(self, module):
        """The Go file that lists what registers the handlers of each generated file."""
        numbers = range(len(self.files))
        imports = "\n".join(f'\t"{module}/routes/routes{number}"' for number in numbers)
        handlers = "\n".join(f"\troutes{number}.RegisterRoutes{number}Handler," for number in numbers)
        return f"""// Package routes lists the generated handlers.
package routes

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

{imports}
)

type Register = func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error

var Handlers = []Register{{
{handlers}
}}
"""


def proto(number, indexes):
    rules = (f"  rpc Call{index}(bench.v1.HelloRequest) returns (bench.v1.HelloReply) {{ option (google.api.http) = {{ {KINDS[index % len(KINDS)].format(index)} }}; }}"
             for index in indexes)  # fmt: skip
    return "\n".join([
        'syntax = "proto3";', f"package bench.routes{number};", 'import "google/api/annotations.proto";', 'import "bench.proto";',
        f"service Routes{number} {{", *rules, "}", "",
    ])  # fmt: skip
