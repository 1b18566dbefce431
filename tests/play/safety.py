"""What `taper play` must refuse, seen from outside: who does not know the token, who comes by another
name or from another page, who asks for files, who sends too much, and too many visitors.

    python3 tests/play/safety.py URL
"""
import http.client
import json
import socket
import sys
import threading
import urllib.parse

url = urllib.parse.urlparse(sys.argv[1])
host, port, token = url.hostname, url.port, url.path.strip("/")
faults = []


def ask(method, path, body=None, headers=None, raw=None):
    c = http.client.HTTPConnection(host, port, timeout=60)
    data = raw if raw is not None else None if body is None else json.dumps(body)
    c.request(method, path, data, headers or {})
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, text, r.headers


def expect(what, status, want, text=b""):
    if status not in (want if isinstance(want, tuple) else (want,)):
        faults.append(f"{what}: status {status}, not {want}: {text[:120]!r}")


def api(path, body=None):
    status, text, _ = ask("GET" if body is None else "POST", f"/{token}/api/{path}", body)
    return status, json.loads(text)


# --- who may ask --------------------------------------------------------------------------------
status, text, headers = ask("GET", f"/{token}/")
expect("the page", status, 200)
if "default-src 'none'" not in headers["Content-Security-Policy"]:
    faults.append("the page has no policy")
for name in ("", "api/knobs", "app.js", token[:-1], token[:-1] + ("0" if token[-1] != "0" else "1"), "x" * 32 + "/"):
    status, text, _ = ask("GET", "/" + name)
    expect(f"/{name} without the token", status, 403, text)
    if token.encode() in text:
        faults.append("a refusal tells the token")
for name in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"127.0.0.1.evil.example:{port}", ""):
    status, text, _ = ask("GET", f"/{token}/api/knobs", headers={"Host": name})
    expect(f"Host {name}", status, (400, 403), text)
for name in (f"localhost:{port}", f"127.0.0.1:{port}"):
    expect(f"Host {name}", ask("GET", f"/{token}/", headers={"Host": name})[0], 200)
for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{port}.evil.example", f"http://localhost:{port}"):
    status, text, _ = ask("POST", f"/{token}/api/visits", {}, headers={"Origin": origin})
    expect(f"Origin {origin}", status, 403, text)
status, text, _ = ask("POST", f"/{token}/api/visits", {}, headers={"Origin": f"http://127.0.0.1:{port}"})
expect("our own Origin", status, 200, text)

# --- no file of the machine ---------------------------------------------------------------------
for path in ("../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "//etc/passwd", "..%2f..%2fetc%2fpasswd",
             "page.css/../../../etc/passwd", "api/../../etc/passwd", "etc/passwd%00.css", "file:///etc/passwd", "a" * 4000):
    status, text, _ = ask("GET", f"/{token}/{path}")
    expect(path[:60], status, (400, 403, 404), text)
    if b"root:" in text:
        faults.append(f"{path} can be read")

# --- too much, and nonsense ----------------------------------------------------------------------
status, text, _ = ask("POST", f"/{token}/api/visits", headers={"Content-Length": str(1 << 40)}, raw=b"")
expect("a body of 1 TiB", status, 413, text)
for raw in (b"[]", b"{", b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 100000, b"null", b'"' + b"a" * 1000):
    expect(f"body {raw[:20]!r}", ask("POST", f"/{token}/api/visits", raw=raw)[0], 400)
for method in ("PUT", "DELETE", "OPTIONS"):
    expect(method, ask(method, f"/{token}/api/visits")[0], 405)
s = socket.create_connection((host, port))
s.sendall(b"GET /" + b"a" * 300000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
try:
    answer = s.recv(200)
    if answer and not answer.startswith(b"HTTP/1.1 4"):
        faults.append(f"a long line: {answer!r}")
except OSError:
    pass
s.close()

# --- settings are held to their table -------------------------------------------------------------
status, said = api("visits", {})
visit = said["visit"]
for settings, word in (
    ({"points": 1e9}, "points"), ({"points": -1}, "points"), ({"points": "many"}, "points"), ({"points": 10.5}, "points"),
    ({"set": "../etc/passwd"}, "set"), ({"set": "spiral xor"}, "set"), ({"set": ""}, "set"), ({"set": None}, "set"),
    ({"hidden": "99999"}, "hidden"), ({"hidden": "1 1 1 1 1 1 1"}, "hidden"), ({"hidden": "200 200 200 200"}, "hidden"),
    ({"hidden": "-3"}, "hidden"), ({"hidden": 16}, "hidden"), ({"hidden": "0"}, "hidden"), ({"hidden": "9" * 5000}, "hidden"),
    ({"optimiser": "adam; rm -rf /"}, "optimiser"), ({"rate": 1e308}, "rate"), ({"rate": -1}, "rate"),
    ({"epochs": 0}, "epochs"), ({"engine": "cc"}, "engine"), ({"validation": 1}, "validation"),
):
    status, said = api(f"visits/{visit}/runs/0", {"settings": settings})
    expect(str(settings)[:60], status, 400)
    if word not in said.get("error", "") or len(said.get("error", "")) > 400 or not said["error"].isprintable():
        faults.append(f"{str(settings)[:60]}: it says {said}")
for path in ("visits/0/runs/0/do", f"visits/{visit}/runs/4/do", f"visits/{visit}/runs/-1/do", f"visits/{visit}/runs/00/do", f"visits/{visit}/runs/0/do"):
    expect(path, api(path, {"do": "start"})[0], 400)  # the last: there is no run yet

status, said = api(f"visits/{visit}/runs/0", {"settings": {"points": 20, "hidden": "", "epochs": 3}})
expect("a run", status, 200)
if len(said.get("points", [])) != 20 or set(said["values"]) != {"layer1.weight", "layer1.bias"}:
    faults.append(f"a run without hidden layers: {str(said)[:200]}")
for values in ({"layer1.bias": [1, 2]}, {"layer1.bias": ["1"]}, {"nothing": [1]}, {"layer1.bias": [1e300]}, {"taper.steps": [1]}, [1], {"layer1.bias": 1}):
    expect(f"values {values}", api(f"visits/{visit}/runs/0/values", {"values": values})[0], 400)
expect("values", api(f"visits/{visit}/runs/0/values", {"values": {"layer1.bias": [0.5], "layer1.weight": [1, 2]}})[0], 200)
if api(f"visits/{visit}/runs/0")[1]["values"]["layer1.weight"]["values"] != [1, 2]:
    faults.append("values that were set are not there")
for body in ({"do": "fly"}, {"do": 3}, {}, {"do": "pace", "number": 1e9}, {"do": "pace", "number": 0.5}):
    expect(str(body), api(f"visits/{visit}/runs/0/do", body)[0], 400)

for body in ({"samples": 1e9}, {"samples": "x"}, {"rate": -1}, {"batch": 0}, {"epochs": 1e9}, {"seed": -1}):
    expect(f"digits {body}", api(f"visits/{visit}/digits", body)[0], 400)
expect("a look at no run", api(f"visits/{visit}/digits/look", {"image": 0})[0], 400)
expect("digits", api(f"visits/{visit}/digits", {"samples": 100, "epochs": 1})[0], 200)
for body in ({"image": 300}, {"image": -1}, {"image": 0.5}, {"image": "0"}, {"pixels": [0] * 783}, {"pixels": "a"}, {}):
    expect(f"a look at {str(body)[:30]}", api(f"visits/{visit}/digits/look", body)[0], 400)
expect("strange pixels", api(f"visits/{visit}/digits/look", {"pixels": ["a", -5, 1e300, None] * 196})[0], 200)
expect("a plane in the place of digits", api(f"visits/{visit}/runs/2", {"settings": {}})[0], 400)
for path in ("", "/text"):
    expect(f"a plane's{path} of digits", api(f"visits/{visit}/runs/2{path}")[0], 400)
expect("a plane's values of digits", api(f"visits/{visit}/runs/2/values", {"values": {}})[0], 400)

for body in ({"text": "short"}, {"text": "a" * 30000}, {"text": 5}, {}, {"text": "a" * 100, "context": 99}, {"text": "a" * 100, "hidden": 0},
             {"text": "a" * 100, "temperature": 0}):
    expect(f"characters {str(body)[:30]}", api(f"visits/{visit}/characters", body)[0], 400)
expect("characters", api(f"visits/{visit}/characters", {"text": "ein \u00fc und \u0001 " * 9, "epochs": 1, "hidden": 4})[0], 200)
for body in ({"samples": 1}, {"maps": 999}, {"dropout": 1}, {"filters": "3 3"}, {"filters": "10"}, {"filters": ""}, {"filters": 3}, {"optimiser": "magic"},
             {"optimiser": 3}, {"text": "a" * 500}, {"text": 5}, {"samples": 20, "maps": 2, "values": {}}, {"samples": 20, "maps": 2, "values": {"fc.weight": "AAAA"}}):
    expect(f"sentences {str(body)[:30]}", api(f"visits/{visit}/sentences", body)[0], 400)
expect("sentences", api(f"visits/{visit}/sentences", {"samples": 20, "maps": 2, "epochs": 1, "filters": "2"})[0], 200)
for value in ("\u00fc\U0001f600 <b>", "", " " * 400, "a " * 200, "'" * 400, "n't" * 100, "aaaaaaaaaa" * 40):
    expect(f"a sentence {value[:20]!r}", api(f"visits/{visit}/sentences/look", {"text": value})[0], 200)
for value in ("a" * 401, 3, None, ["a"]):
    expect(f"a sentence {str(value)[:20]!r}", api(f"visits/{visit}/sentences/look", {"text": value})[0], 400)
status, kept = api(f"visits/{visit}/sentences")
expect("what a lesson has learnt", status, 200)
expect("and back", api(f"visits/{visit}/sentences", {"samples": 20, "maps": 2, "filters": "2", **kept})[0], 200)
if api(f"visits/{visit}/sentences")[1]["values"] != kept["values"]:
    faults.append("weights that come back are others")
kept["values"]["fc.bias"] = "AADAf" + kept["values"]["fc.bias"][5:]  # NaN
expect("a weight that is no number", api(f"visits/{visit}/sentences", {"samples": 20, "maps": 2, "filters": "2", **kept})[0], 400)
for name in ("nothing", "runs", "events"):
    expect(f"a lesson {name}", api(f"visits/{visit}/{name}", {})[0], 400)
for value in (0, -1, "x", 1e9):
    expect(f"temperature {value}", api(f"visits/{visit}/characters/look", {"temperature": value})[0], 400)

# --- the compiler: names of the table, texts within bounds, no file of the machine ------------------
for body in ({"model": "../../etc/passwd"}, {"model": "--help"}, {"model": ""}, {"model": "gpt2"}, {}, {"text": "a" * 300000},
             {"text": "nonsense"}, {"text": ""}, {"text": "step(x: f32[2]) {"}, {"text": 3}, {"text": "step() {\n  return loss=%9\n}\n"}):
    for path in ("show", "draw", "explain"):
        status, said = api(path, body)
        expect(f"{path} {str(body)[:40]}", status, 400)
        if "error" in said and (len(said["error"]) > 400 or not said["error"].isprintable()):
            faults.append(f"{path} {str(body)[:40]}: it says {said}")
program = """set data = "/etc/passwd"
symbol batch in 1..8
step(x: f32[batch 4], y: i32[batch]) {
  %3 = state w" : f32[3 4] init zero
  return loss=%3
}
"""
status, said = api("show", {"text": program})
expect("a name with a quote", status, 400)
status, said = api("show", {"text": program.replace('w"', "w"), "stage": "c"})
if "root" in json.dumps(said) or "/etc/passwd" in json.dumps(said.get("text", "")):
    faults.append(f"a pasted text reads a file: {str(said)[:200]}")
huge = "step(x: f32[1000000 1000000]) {\n  %2 = exp %1 : f32[1000000 1000000]\n  return loss=%2\n}\n"
for path in ("show", "explain"):
    status, said = api(path, {"text": huge, "stage": "plan"})
    expect(f"{path} of a huge array", status, (200, 400))
status, said = api("show", {"model": "mlp", "stage": "fuse; ls", "program": "; ls"})
expect("a stage that is none", status, 200)

# --- expressions and tensors: a grammar, with bounds ----------------------------------------------
for expression in ("", "x+", "(", ")", "x x", "x;y", "system(1)", "x.__class__", "import os", "sin", "sin(", "sin(x,y)", "max(x)", "1.2.3", "9" * 300,
                   "x" * 1000, "(" * 300 + "x" + ")" * 300, "-" * 300 + "x", "x\0y", "\u00e9", "%s%n", "x..sum()", "sum()"):
    for path, body in (("maths", {"from": -1, "to": 1}), ("autodiff", {"x": 1, "y": 2, "z": 3})):
        status, said = api(path, {"expression": expression, **body})
        expect(f"{path} {expression[:30]!r}", status, 400)
        if len(said.get("error", "")) > 400 or not said.get("error", "").isprintable():
            faults.append(f"{path} {expression[:30]!r}: it says {said}")
for body in ({"from": 1, "to": 1}, {"from": 0, "to": 1e300}, {"from": "a", "to": 2}, {}):
    expect(f"maths {body}", api("maths", {"expression": "x", **body})[0], 400)
for x in ([], [[]], [[1], [1, 2]], [1] * 65, "1", [[[[[1]]]]], None, {"a": 1}, 1e300, [None]):
    expect(f"autodiff of {str(x)[:30]}", api("autodiff", {"expression": "x", "x": x})[0], 400)
for shape, moves in (("1000000 1000000", []), ("-1", []), ("2 2", ["permute 9 9"]), ("2 2", ["reshape 99999999 1"]), ("2", ["exec ls"]), ("2", ["flip"] * 9),
                     ("1 1 1 1 1 1 1 1 1", []), ("2 x", []), ("2", ["broadcast 512 512 2"]), ("2", ["slice 0"]), ("2", [3]), ("9" * 40, [])):
    status, said = api("tensor", {"shape": shape, "moves": moves})
    expect(f"tensor {shape[:20]} {str(moves)[:30]}", status, 400)

for shape, text in (("", "relu"), ("0", "relu"), ("1 1 1 1 1", "relu"), ("99999", "relu"), ("4096 4096", "relu"), ("x", "relu"), (3, "relu"), ("2 2", ""), ("2 2", 3),
                    ("2 2", "exec ls"), ("2 2", "a\"b: relu"), ("2 2", "relu 1"), ("2 2", "linear"), ("2 2", "linear -1"), ("2 2", "linear 1 2"), ("2 2", "a: relu\n  relu"),
                    ("2 2", "relu\n" * 65), ("2 2", "r" * 5000), ("2 2", "r" * 200), ("2 2", "a: relu\na: relu"), ("2 2", "linear 1000000\nlinear 1000000"),
                    ("2 2", "\n".join(" " * i + "sequential" for i in range(12))), ("2 2", "conv2d 0 0"), ("2 2", "residual\n  linear 3"), ("2 2", "\u00fc: relu")):
    status, said = api("modules", {"input": shape, "text": text})
    expect(f"modules {shape} {str(text)[:30]!r}", status, 400)
    if len(said.get("error", "")) > 400 or not said.get("error", "").isprintable():
        faults.append(f"modules {str(text)[:30]!r}: it says {said}")

# --- ten visitors at once, each with its own run; there is an end to visits --------------------------
SETTINGS = ({"set": "xor", "seed": 5}, {"set": "moons", "seed": 6, "activation": "relu"}, {"set": "circle", "seed": 7, "engine": "eager"})


def train(i, results):
    v = api("visits", {})[1]["visit"]
    api(f"visits/{v}/runs/0", {"settings": {"points": 30, "hidden": "4", "batch": 0, "epochs": 40, **SETTINGS[i % 3]}})
    c = http.client.HTTPConnection(host, port, timeout=120)
    c.request("GET", f"/{token}/api/visits/{v}/events")
    stream = c.getresponse()
    api(f"visits/{v}/runs/0/do", {"do": "pace", "number": 10})
    api(f"visits/{v}/runs/0/do", {"do": "start"})
    while True:
        line = stream.readline()
        if not line:
            break
        if line.startswith(b"data: "):
            picture = json.loads(line[6:])
            if picture["done"]:
                results[i] = [picture[of] for of in ("epoch", "step", "loss", "accuracy", "shade")]
                break
    c.close()


alone, results = [None] * 3, [None] * 10
for i in range(3):
    train(i, alone)
threads = [threading.Thread(target=train, args=(i, results)) for i in range(10)]
[t.start() for t in threads]
[t.join() for t in threads]
if None in alone or any(a[:2] != [40, 40] for a in alone) or alone[0] == alone[1]:
    faults.append(f"three visitors, one after the other: {alone}")
for i, result in enumerate(results):
    if result != alone[i % 3]:
        faults.append(f"visitor {i} of ten: {str(result)[:200]}; alone {str(alone[i % 3])[:200]}")
refused = 0
for _ in range(40):
    status, said = api("visits", {})
    refused += status == 400 and "pages are open already" in said["error"]
if not refused:
    faults.append("there is no end to visits")
expect("an old visit", api(f"visits/{visit}/runs/0/do", {"do": "pause"})[0], 200)

for fault in faults:
    print(fault)
sys.exit(len(faults) > 0)
