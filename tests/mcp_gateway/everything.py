"""An MCP server over stdio with everything the official conformance suite asks of one, in either era, and some ways to
misbehave; of the standard library only, because it is started hundreds of times.

``python everything.py [--era handshake|modern] [--misbehave …]``
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any
from urllib.parse import quote

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="
META = "io.modelcontextprotocol/"
MODERN = "2026-07-28"
KEY = os.urandom(16)

OBJECT = {"type": "object", "properties": {}}
ELICIT = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

_lock = threading.Lock()
_waiting: dict[str, Any] = {}
_subscriptions: list[tuple[Any, dict[str, bool]]] = []
counts: dict[str, int] = {}
# Every message a client has sent, by its method and what it is about.
heard: list[list[str]] = []
described: dict[str, str] = {}
extra: list[str] = []
options: argparse.Namespace


class Fault(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


def write(message: dict[str, Any]) -> None:
    line = json.dumps({"jsonrpc": "2.0", **message}) + "\n"
    with _lock:
        sys.stdout.write(line)
        sys.stdout.flush()


def notify(method: str, **params: Any) -> None:
    write({"method": method, "params": params})


def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Ask the client, in the era that can."""
    id, event = f"q{time.monotonic_ns()}", threading.Event()
    _waiting[id] = event
    write({"id": id, "method": method, "params": params})
    event.wait(180)
    return _waiting.pop(id)


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


TOOLS: dict[str, Any] = {}
SCHEMAS: dict[str, Any] = {}


def tool(name: str, schema: Any = None, era: str = "") -> Any:
    def keep(function: Any) -> Any:
        TOOLS[name] = (function, era)
        SCHEMAS[name] = schema or OBJECT
        return function

    return keep


@tool("test_simple_text")
def simple(arguments: Any, params: Any) -> Any:
    return text("This is a simple text response for testing.")


@tool("test_image_content")
def image(arguments: Any, params: Any) -> Any:
    return {"content": [{"type": "image", "data": PNG, "mimeType": "image/png"}]}


@tool("test_audio_content")
def audio(arguments: Any, params: Any) -> Any:
    return {"content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]}


def embedded(uri: str, kind: str = "text/plain", words: str = "This is an embedded resource content.") -> Any:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": words}}


@tool("test_embedded_resource")
def resource(arguments: Any, params: Any) -> Any:
    return {"content": [embedded("test://embedded-resource")]}


@tool("test_multiple_content_types")
def mixed(arguments: Any, params: Any) -> Any:
    picture = {"type": "image", "data": PNG, "mimeType": "image/png"}
    data = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return {"content": [{"type": "text", "text": "Multiple content types test:"}, picture, data]}


@tool("test_error_handling")
def fails(arguments: Any, params: Any) -> Any:
    return {**text("This tool intentionally returns an error for testing"), "isError": True}


@tool("test_tool_with_logging", era="handshake")
def logs(arguments: Any, params: Any) -> Any:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        notify("notifications/message", level="info", data=words)
        time.sleep(0.05)
    return text("Logged.")


@tool("test_logging_tool", era="modern")
def logs_if_wanted(arguments: Any, params: Any) -> Any:
    if params.get("_meta", {}).get(f"{META}logLevel"):
        notify("notifications/message", level="info", data="logged")
    return text("Logged, if you asked for it.")


@tool("test_tool_with_progress")
def progresses(arguments: Any, params: Any) -> Any:
    token = params.get("_meta", {}).get("progressToken")
    for amount in (0, 50, 100):
        if token is not None:
            notify("notifications/progress", progressToken=token, progress=amount, total=100)
        time.sleep(0.05)
    return text(str(token))


@tool("test_sampling", {"type": "object", "properties": {"prompt": {"type": "string"}}}, era="handshake")
def samples(arguments: Any, params: Any) -> Any:
    said = {"role": "user", "content": {"type": "text", "text": arguments.get("prompt", "")}}
    found = ask("sampling/createMessage", {"messages": [said], "maxTokens": 100})
    return text(f"LLM response: {json.dumps(found)}")


def elicits(schema: Any) -> Any:
    def run(arguments: Any, params: Any) -> Any:
        found = ask("elicitation/create", {"message": arguments.get("message", "Say"), "requestedSchema": schema})
        return text(f"User response: {json.dumps(found)}")

    return run


def properties(**named: Any) -> Any:
    return {"type": "object", "properties": named, "required": []}


_TITLED = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]
_PLAIN = ["option1", "option2", "option3"]
_MESSAGE = {"type": "object", "properties": {"message": {"type": "string"}}}
tool("test_elicitation", _MESSAGE, "handshake")(
    elicits(properties(username={"type": "string"}, email={"type": "string"}))
)
tool("test_elicitation_sep1034_defaults", None, "handshake")(
    elicits(
        properties(
            name={"type": "string", "default": "John Doe"},
            age={"type": "integer", "default": 30},
            score={"type": "number", "default": 95.5},
            status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            verified={"type": "boolean", "default": True},
        )
    )
)
tool("test_elicitation_sep1330_enums", None, "handshake")(
    elicits(
        properties(
            untitledSingle={"type": "string", "enum": _PLAIN},
            titledSingle={"type": "string", "oneOf": _TITLED},
            legacyEnum={
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            untitledMulti={"type": "array", "items": {"type": "string", "enum": _PLAIN}},
            titledMulti={"type": "array", "items": {"anyOf": _TITLED}},
        )
    )
)


@tool("test_missing_capability", era="modern")
def lacks(arguments: Any, params: Any) -> Any:
    if "sampling" not in params["_meta"][f"{META}clientCapabilities"]:
        raise Fault(-32021, "Missing required client capability", {"requiredCapabilities": {"sampling": {}}})
    return text("You can sample.")


@tool("test_streaming_elicitation", era="modern")
def streams(arguments: Any, params: Any) -> Any:
    token = params.get("_meta", {}).get("progressToken")
    if token is not None:
        notify("notifications/progress", progressToken=token, progress=1)
    return required({"who": question("Who?")})


@tool("test_trigger_tool_change", era="modern")
def change_tools(arguments: Any, params: Any) -> Any:
    changed("tools")
    return text("Changed.")


@tool("test_trigger_prompt_change", era="modern")
def change_prompts(arguments: Any, params: Any) -> Any:
    changed("prompts")
    return text("Changed.")


@tool("test_x_mcp_header", {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}})
def mirrored(arguments: Any, params: Any) -> Any:
    return text(str(arguments.get("region")))


_NEW_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@tool("json_schema_2020_12_tool", _NEW_SCHEMA)
def new_schema(arguments: Any, params: Any) -> Any:
    return text("Fine.")


# Input that a tool needs, asked for inside its result.


def question(words: str, schema: Any = None) -> Any:
    return {"method": "elicitation/create", "params": {"message": words, "requestedSchema": schema or ELICIT}}


def sampling(words: str, tokens: int) -> Any:
    message = {"role": "user", "content": {"type": "text", "text": words}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}}


ROOTS = {"method": "roots/list", "params": {}}


def required(requests: dict[str, Any], state: str = "") -> Any:
    sealed = {"requestState": f"{state}.{_mark(state)}"} if state else {}
    return {"resultType": "input_required", "inputRequests": requests, **sealed}


def _mark(state: str) -> str:
    return hmac.new(KEY, state.encode(), hashlib.sha256).hexdigest()


def opened(params: Any) -> str:
    """The state a client hands back, if it is ours; Fault otherwise."""
    given = params.get("requestState")
    if given is None:
        return ""
    state, _, mark = str(given).rpartition(".")
    if not hmac.compare_digest(mark, _mark(state)):
        raise Fault(-32602, "The requestState is not ours.")
    return state


def answers(params: Any, key: str, kind: str = "") -> Any:
    """The client's answer of this key, if it is of that kind."""
    given = params.get("inputResponses")
    found = given.get(key) if isinstance(given, dict) else None
    if not isinstance(found, dict):
        return None
    if kind == "name" and not isinstance((found.get("content") or {}).get("name"), str):
        return None
    return found


@tool("test_input_required_result_elicitation", era="modern")
def asks_name(arguments: Any, params: Any) -> Any:
    found = answers(params, "user_name", "name")
    return (
        text(f"Hello, {found['content']['name']}!")
        if found
        else required({"user_name": question("What is your name?")})
    )


@tool("test_input_required_result_sampling", era="modern")
def asks_model(arguments: Any, params: Any) -> Any:
    found = answers(params, "capital_question")
    if not found:
        return required({"capital_question": sampling("What is the capital of France?", 100)})
    return text(found["content"]["text"])


@tool("test_input_required_result_list_roots", era="modern")
def asks_roots(arguments: Any, params: Any) -> Any:
    found = answers(params, "client_roots")
    return text(json.dumps(found["roots"])) if found else required({"client_roots": ROOTS})


@tool("test_input_required_result_request_state", era="modern")
def keeps_state(arguments: Any, params: Any) -> Any:
    if opened(params) and answers(params, "confirm"):
        return text("state-ok")
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    return required({"confirm": question("Please confirm", schema)}, "confirming")


@tool("test_input_required_result_multiple_inputs", era="modern")
def asks_all(arguments: Any, params: Any) -> Any:
    requests = {
        "user_name": question("What is your name?"),
        "greeting": sampling("Generate a greeting", 50),
        "client_roots": ROOTS,
    }
    if opened(params) and all(answers(params, key) for key in requests):
        return text("All there.")
    return required(requests, "all")


@tool("test_input_required_result_multi_round", era="modern")
def asks_twice(arguments: Any, params: Any) -> Any:
    state = opened(params)
    if state == "two" and answers(params, "step2"):
        return text("Done.")
    if state == "one" and answers(params, "step1"):
        schema = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
        return required({"step2": question("Step 2: What is your favorite color?", schema)}, "two")
    return required({"step1": question("Step 1: What is your name?")}, "one")


@tool("test_input_required_result_tampered_state", era="modern")
def guards_state(arguments: Any, params: Any) -> Any:
    if opened(params) and answers(params, "confirm"):
        return text("state-ok")
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    return required({"confirm": question("Please confirm", schema)}, "guarded")


@tool("test_input_required_result_capabilities", era="modern")
def asks_what_it_may(arguments: Any, params: Any) -> Any:
    able = params["_meta"][f"{META}clientCapabilities"]
    requests = {}
    if "sampling" in able:
        requests["greeting"] = sampling("Generate a greeting", 50)
    if "elicitation" in able:
        requests["user_name"] = question("What is your name?")
    if not requests or any(answers(params, key) for key in requests):
        return text("Fine.")
    return required(requests)


# For our own tests.


@tool("echo", {"type": "object", "properties": {"text": {"type": "string"}}})
def echo(arguments: Any, params: Any) -> Any:
    heard = sorted(params.get("_meta", {}))
    return {**text(arguments.get("text", "")), "futureField": {"kept": [1, 2.5, None]}, "meta": heard}


@tool("slow", {"type": "object", "properties": {"seconds": {"type": "number"}}})
def slow(arguments: Any, params: Any) -> Any:
    token = params.get("_meta", {}).get("progressToken")
    if token is not None:
        notify("notifications/progress", progressToken=token, progress=1, message=arguments.get("text", ""))
    time.sleep(arguments.get("seconds", 1))
    return text(arguments.get("text", "slow"))


@tool("ask_model", {"type": "object"})
def asks_again(arguments: Any, params: Any) -> Any:
    """Ask for a model ``times`` times with these ``params``, in the way of the era; says what it was answered each time."""
    times, wish = arguments.get("times", 1), arguments["params"]
    if options.era != "modern":
        return text(json.dumps([ask("sampling/createMessage", wish) for _ in range(times)]))
    before = json.loads(opened(params) or "[]")
    found = answers(params, "model")
    heard = [*before, found] if found else before
    if len(heard) >= times:
        return text(json.dumps(heard))
    return required({"model": {"method": "sampling/createMessage", "params": wish}}, json.dumps(heard))


@tool("hang")
def hang(arguments: Any, params: Any) -> Any:
    threading.Event().wait()


@tool("crash")
def crash(arguments: Any, params: Any) -> Any:
    sys.stderr.write("about to crash\n")
    os.kill(os.getpid(), signal.SIGKILL)


@tool("big", {"type": "object", "properties": {"bytes": {"type": "integer"}}})
def big(arguments: Any, params: Any) -> Any:
    return text("x" * arguments["bytes"])


@tool("who")
def who(arguments: Any, params: Any) -> Any:
    return {**text("me"), "pid": os.getpid(), "parent": os.getppid(), "env": dict(os.environ), "cwd": os.getcwd()}


@tool("knows", {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}})
def knows(arguments: Any, params: Any) -> Any:
    """Is this the value of that variable? What it is, is not said."""
    return text("yes" if os.environ.get(arguments["name"]) == arguments["value"] else "no")


@tool("tells", {"type": "object", "properties": {"name": {"type": "string"}, "how": {"type": "string"}}})
def tells(arguments: Any, params: Any) -> Any:
    """Give a variable away, in one of many ways."""
    value, how = os.environ[arguments["name"]], arguments.get("how", "plain")
    encoded = {
        "plain": f"it is {value}.",
        "base64": base64.b64encode(value.encode()).decode(),
        "hex": value.encode().hex(),
        "url": quote(value, safe=""),
        "json": json.dumps({"value": value}),
    }
    if how in encoded:
        return text(encoded[how])
    if how == "error":
        raise Fault(-32000, f"It failed with {value}", {"used": value})
    if how == "structured":
        return {**text("see"), "structuredContent": {"deep": [{"value": value}], value: 1}, "future": value}
    if how == "image":
        data = base64.b64encode(f"x{value}y".encode()).decode()
        return {"content": [{"type": "image", "data": data, "mimeType": "image/png"}]}
    if how == "progress":
        notify("notifications/progress", progressToken=params["_meta"]["progressToken"], progress=1, message=value)
    if how == "log":
        notify("notifications/message", level="info", data={"used": value})
    if how == "stderr":
        sys.stderr.write(f"it is {value}\n")
        sys.stderr.flush()
    return text("told")


@tool("mixed", {"type": "object", "properties": {"sizes": {"type": "object"}}})
def mixed_sizes(arguments: Any, params: Any) -> Any:
    """Blocks of every kind, of these sizes."""
    sizes = arguments["sizes"]
    made = {
        "text": lambda size: {"type": "text", "text": "ä" * (size // 2)},
        "image": lambda size: {"type": "image", "data": "QUJD" * (size // 4), "mimeType": "image/png"},
        "resource": lambda size: embedded("test://long", words="x" * size),
        "blob": lambda size: {
            "type": "resource",
            "resource": {"uri": "test://blob", "mimeType": "application/pdf", "blob": "QUJD" * (size // 4)},
        },
    }
    data = {"structuredContent": {"items": ["x" * sizes["data"]]}} if "data" in sizes else {}
    return {"content": [made[kind](size) for kind, size in sizes.items() if kind in made], **data}


@tool("promised", {"type": "object", "properties": {"bytes": {"type": "integer"}}})
def promised(arguments: Any, params: Any) -> Any:
    items = ["x" * arguments["bytes"]]
    return {**text(json.dumps(items)), "structuredContent": {"items": items}}


@tool("params", {"type": "object", "properties": {"a": {"type": "integer"}}})
def tell_params(arguments: Any, params: Any) -> Any:
    return {**text("these"), "structuredContent": params}


@tool("counts")
def tell_counts(arguments: Any, params: Any) -> Any:
    return {**text("counts"), "counts": dict(counts), "heard": heard}


@tool("fork")
def fork(arguments: Any, params: Any) -> Any:
    """Leave a process behind that belongs to nobody."""
    left = subprocess.Popen(["sleep", "600"], start_new_session=True, stdin=subprocess.DEVNULL)
    return {**text("left"), "pid": left.pid}


@tool("attempt", {"type": "object", "properties": {"what": {"type": "string"}, "where": {"type": "string"}}})
def attempt(arguments: Any, params: Any) -> Any:
    """Do one thing that a wall may stand before; what came of it."""
    try:
        return text(str(ATTEMPTS[arguments["what"]](arguments["where"])))
    except OSError as problem:
        return text(f"refused: {problem.strerror or problem}")


def _connect(where: str) -> str:
    host, _, port = where.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10):
        return "connected"


def _route(where: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((where, 9))
        return "a way"


def _read(where: str) -> str:
    with open(where) as file:
        return file.read()


def _write(where: str) -> str:
    with open(where, "a") as file:
        file.write("x")
    return "written"


def _by_proxy(where: str, patience: float | None = 20) -> str:
    proxy = os.environ["HTTPS_PROXY"].rpartition("/")[2]
    host, _, port = proxy.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=patience) as line:
        line.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        said = line.recv(65536).decode()
        if " 200 " in said.splitlines()[0]:
            line.sendall(b"hello")
            return line.recv(65536).decode()
        return f"refused: {said}"


ATTEMPTS: dict[str, Any] = {
    "read": _read,
    "list": os.listdir,
    "write": _write,
    "connect": _connect,
    "route": _route,
    "proxy": _by_proxy,
    "proxy for long": lambda where: _by_proxy(where, None),
    "process": lambda where: os.stat(f"/proc/{where}").st_uid,
    "processes": lambda where: len([each for each in os.listdir("/proc") if each.isdigit()]),
}


@tool("chatter")
def chatter(arguments: Any, params: Any) -> Any:
    with _lock:
        sys.stdout.write("this is no JSON\n")
        sys.stdout.flush()
    return text("said something")


@tool("close_output")
def close_output(arguments: Any, params: Any) -> Any:
    os.close(1)
    threading.Event().wait()


@tool("redescribe", {"type": "object", "properties": {"tool": {"type": "string"}, "text": {"type": "string"}}})
def redescribe(arguments: Any, params: Any) -> Any:
    described[arguments["tool"]] = arguments["text"]
    changed("prompts" if arguments["tool"] in PROMPTS else "tools")
    return text("Another one now.")


@tool("grow", {"type": "object", "properties": {"name": {"type": "string"}}})
def grow(arguments: Any, params: Any) -> Any:
    extra.append(arguments["name"])
    changed("tools")
    return text("One more.")


@tool("flood", {"type": "object", "properties": {"times": {"type": "integer"}}})
def flood(arguments: Any, params: Any) -> Any:
    """Say so many times that the tools have changed, before and after the answer."""
    threading.Thread(target=lambda: [changed("tools") for _ in range(arguments["times"])]).start()
    return text("It begins.")


# The protocol.


def changed(what: str) -> None:
    method, word = f"notifications/{what}/list_changed", f"{what}ListChanged"
    if options.era == "handshake":
        notify(method)
    for id, wanted in _subscriptions:
        if wanted.get(word):
            notify(method, _meta={f"{META}subscriptionId": id})


PROMPTS = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": [{"name": name, "description": name, "required": True} for name in ("arg1", "arg2")],
    "test_prompt_with_embedded_resource": [{"name": "resourceUri", "required": True}],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}


def prompt(params: Any) -> Any:
    name, given = params.get("name"), params.get("arguments") or {}
    said = {"role": "user"}
    if name == "test_simple_prompt":
        return {"messages": [{**said, "content": {"type": "text", "text": "This is a simple prompt for testing."}}]}
    if name == "test_prompt_with_arguments":
        words = f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'"
        return {"messages": [{**said, "content": {"type": "text", "text": words}}]}
    if name == "test_prompt_with_embedded_resource":
        content = embedded(given.get("resourceUri", "test://example"), words="Embedded resource content for testing.")
        return {"messages": [{**said, "content": content}]}
    if name == "test_prompt_with_image":
        return {"messages": [{**said, "content": {"type": "image", "data": PNG, "mimeType": "image/png"}}]}
    if name == "test_input_required_result_prompt" and options.era == "modern":
        schema = {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}
        if not answers(params, "user_context"):
            return required({"user_context": question("What context should the prompt use?", schema)})
        return {"messages": [{**said, "content": {"type": "text", "text": "With context."}}]}
    raise Fault(-32602, f"Unknown prompt: {name}")


# Added to what it says of a resource or a template of resources, by its address.
said_of: dict[str, dict[str, Any]] = {}


@tool("rename", {"type": "object", "properties": {"address": {"type": "string"}, "as": {"type": "object"}}})
def rename(arguments: Any, params: Any) -> Any:
    said_of[arguments["address"]] = arguments["as"]
    changed("resources")
    return text("Another one now.")


RESOURCES = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched."},
}
# For our own tests, and in no list.
UNLISTED = {
    "test://long": lambda: {"mimeType": "text/plain", "text": "x" * 5_000},
    "test://secret": lambda: {"mimeType": "text/plain", "text": os.environ.get("A", "")},
    "test://secret-bytes": lambda: {"blob": base64.b64encode(os.environ.get("A", "").encode()).decode()},
}


def read(params: Any) -> Any:
    uri = params.get("uri", "")
    if uri in RESOURCES:
        return {"contents": [{"uri": uri, **RESOURCES[uri]}]}
    if uri in UNLISTED:
        return {"contents": [{"uri": uri, **UNLISTED[uri]()}]}
    if uri.startswith("test://template/") and uri.endswith("/data"):
        id = uri.removeprefix("test://template/").removesuffix("/data")
        body = json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": body}]}
    raise Fault(-32602 if options.era == "modern" else -32002, "Resource not found", {"uri": uri})


def more(name: str) -> dict[str, Any]:
    """What only some tools say of themselves."""
    return {"outputSchema": {"type": "object", "required": ["items"]}} if name == "promised" else {}


def listed_tools() -> list[dict[str, Any]]:
    named = {name: SCHEMAS[name] for name, (_, era) in TOOLS.items() if era in ("", options.era)}
    named |= dict.fromkeys(extra, OBJECT)
    return [
        {"name": name, "description": described.get(name, f"The tool {name}."), "inputSchema": schema, **more(name)}
        for name, schema in named.items()
    ]


def capabilities() -> dict[str, Any]:
    found = {
        "tools": {"listChanged": True},
        "prompts": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": True},
        "completions": {},
    }
    return found if options.era == "modern" else found | {"logging": {}}


INFO = {"name": "everything", "title": "Everything", "version": "1.0"}


def handle(method: str, params: Any, id: Any) -> Any:
    cached = {"ttlMs": 1000, "cacheScope": "public"} if options.era == "modern" else {}
    if method == "initialize" and options.era == "handshake":
        said = {"instructions": options.instructions} if options.instructions else {}
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": capabilities(),
            "serverInfo": INFO,
            **said,
        }
    if method == "server/discover" and options.era == "modern":
        return {
            "supportedVersions": [MODERN],
            "capabilities": capabilities(),
            "_meta": {f"{META}serverInfo": INFO},
            **cached,
        }
    older = ("ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe")
    if method in older and options.era == "handshake":
        return {}
    if method == "subscriptions/listen" and options.era == "modern":
        _subscriptions.append((id, params.get("notifications", {})))
        tag = {f"{META}subscriptionId": id}
        notify("notifications/subscriptions/acknowledged", notifications=params.get("notifications", {}), _meta=tag)
        return None
    if method == "tools/list":
        return {"tools": listed_tools(), **cached}
    if method == "prompts/list":
        items = [
            {"name": name, "description": described.get(name, name), "arguments": given}
            for name, given in PROMPTS.items()
        ]
        return {"prompts": items, **cached}
    if method == "prompts/get":
        return prompt(params)
    if method == "resources/list":
        items = [
            {"uri": uri, "name": uri, "mimeType": each["mimeType"], **said_of.get(uri, {})}
            for uri, each in RESOURCES.items()
        ]
        items += [{"uri": uri, "name": uri, **said} for uri, said in said_of.items() if uri.startswith("new://")]
        return {"resources": items, **cached}
    if method == "resources/templates/list":
        item = {"uriTemplate": "test://template/{id}/data", "name": "Template", "mimeType": "application/json"}
        item |= said_of.get(item["uriTemplate"], {})
        return {"resourceTemplates": [item], **cached}
    if method == "resources/read":
        return {**read(params), **cached}
    if method == "completion/complete":
        return {"completion": {"values": [], "total": 0, "hasMore": False}}
    if method == "tools/call":
        name = params.get("name")
        counts[name] = counts.get(name, 0) + 1
        if name in extra:
            return text(name)
        if name not in TOOLS:
            raise Fault(-32602, f"Unknown tool: {name}")
        return TOOLS[name][0](params.get("arguments") or {}, params)
    raise Fault(-32601, f"Method not found: {method}")


def work(message: dict[str, Any]) -> None:
    try:
        result = handle(message["method"], message.get("params") or {}, message["id"])
    except Fault as fault:
        error = {"code": fault.code, "message": str(fault), **({} if fault.data is None else {"data": fault.data})}
        write({"id": message["id"], "error": error})
        return
    if result is not None:
        kind = {"resultType": "complete"} if options.era == "modern" and "resultType" not in result else {}
        write({"id": message["id"], "result": {**result, **kind}})


def main() -> None:
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--instructions", default="")
    parser.add_argument("--era", default="handshake")
    parser.add_argument("--misbehave", default="")
    options = parser.parse_args()
    if options.misbehave == "die":
        sys.stderr.write("I will not live\n")
        sys.exit(3)
    if options.misbehave == "silent":
        threading.Event().wait()
    if options.misbehave == "garbage":
        sys.stdout.write("Welcome to the everything server! \x1b[1m\n")
        sys.stdout.flush()
    for line in sys.stdin:
        message = json.loads(line)
        params = message.get("params") or {}
        heard.append([message.get("method", "an answer"), str(params.get("name") or params.get("uri") or "")])
        if "method" not in message:
            event = _waiting.get(message["id"])
            if isinstance(event, threading.Event):
                _waiting[message["id"]] = message.get("result", message.get("error"))
                event.set()
        elif "id" in message:
            if message["method"] in ("tools/call",):
                threading.Thread(target=work, args=(message,), daemon=True).start()
            else:
                work(message)
        else:
            counts[message["method"]] = counts.get(message["method"], 0) + 1


if __name__ == "__main__":
    main()
