"""The same greeting as a Starlette application, for whichever ASGI server runs it."""

import greet
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def say_hello(request):
    message = greet.greet(request.path_params["name"])
    return JSONResponse({"message": greet.ended(message)})


app = Starlette(routes=[Route("/v1/hello/{name}", say_hello)])
