"""An OpenAI-compatible server in a thread, which can be slow, cut answers short, fail, and stop."""

import json
import threading
import time
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def answer(body):
    """The default answer, which depends on the prompt alone; every number in it is its own."""
    prompt = body["messages"][-1]["content"]
    number = zlib.crc32(prompt.encode())
    time.sleep(number % 23 / 1000)  # answers do not come in the order of the questions
    return 200, completion(
        f"No, I will not. [{number}]",
        {"prompt_tokens": len(prompt), "completion_tokens": number % 97},
        "length" if number % 3 == 0 else "stop",
    )


def completion(content, usage=None, finish_reason="stop"):
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return {"object": "chat.completion", "choices": [choice], "usage": usage}


class FakeServer:
    """`answer(body)` gives status and content (bytes, or what becomes JSON), perhaps headers; a Content-Length among
    these that is too large cuts the connection in the midst. `asked`: (prompt, status, headers of the request)."""

    def __init__(self):
        self.answer = answer
        self.asked = []
        self.bodies = []
        self.models = [{"id": "fake", "object": "model"}]  # its list, or bytes in place of one
        self.listed = []  # the headers of each request for it
        self.lock = threading.Lock()
        self.busy = threading.Condition()
        self.under_way = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.listed.append({name.title(): value for name, value in self.headers.items()})
                models = outer.models
                self.reply(200, models if isinstance(models, bytes) else {"object": "list", "data": models})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.busy:
                    outer.under_way += 1
                try:
                    self.serve(body)
                finally:
                    with outer.busy:
                        outer.under_way -= 1
                        outer.busy.notify_all()

            def serve(self, body):
                status, content, *headers = outer.answer(body)
                with outer.lock:
                    sent = {name.title(): value for name, value in self.headers.items()}  # their case says nothing
                    outer.asked.append((body["messages"][-1]["content"], status, sent))
                    outer.bodies.append(body)
                self.reply(status, content, *headers)

            def reply(self, status, content, headers=()):
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                sent = {"Content-Type": "application/json", "Content-Length": str(len(data))} | dict(headers)
                for name, value in sent.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = int(sent["Content-Length"]) != len(data)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):  # the other side hung up: some tests make it
                pass

        self.http = Server(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def wait_until_idle(self):
        """Until no request is under way: a client that gave up does not end what the server does with its request."""
        with self.busy:
            assert self.busy.wait_for(lambda: self.under_way == 0, timeout=60)

    @property
    def answered(self):
        """The prompts that got an answer, in the order of the answers."""
        return [prompt for prompt, status, _ in self.asked if status == 200]


@contextmanager
def serve():
    server = FakeServer()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
