"""A browser without a screen for the viewer: it follows addresses and sends the forms of pages."""

import html
import http.client
import re
import urllib.parse


class Client:
    """A browser without a screen: follows addresses and sends the forms of pages."""

    def __init__(self, address):
        self.address = urllib.parse.urlsplit(address)
        self.text = self.path = ""
        self.status = 0

    def get(self, path):
        return self._ask("GET", path)

    def press(self, key, **changes):
        """Send the form of the page with one of its buttons."""
        note = re.search(r"<textarea[^>]*>([^<]*)</textarea>", self.text)
        fields = self.hidden() | {"key": key, "note": html.unescape(note[1]) if note else ""} | changes
        return self.post(self.action(), list(fields.items()))

    def hidden(self):
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.text))

    def action(self):
        return html.unescape(re.search(r'action="([^"]*)" method="post"', self.text)[1])

    def post(self, path, pairs):
        headers = {
            "Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{self.address.netloc}",
            "Sec-Fetch-Site": "same-origin",
        }  # fmt: skip
        return self._ask("POST", path, urllib.parse.urlencode(pairs), headers)

    def begin(self, **changes):
        fields = {"annotator": "ann", "sample": "60", "lang": ["sw"], "run": [], "task": ["harm", "mild"]} | changes
        pairs = [(key, one) for key, value in fields.items() for one in ([value] if isinstance(value, str) else value)]
        return self.post("/label/begin", pairs)

    def _ask(self, method, path, body=None, headers=None):
        if "token=" not in path:
            path += f"{'&' if '?' in path else '?'}{self.address.query}"
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=60)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        self.status, self.text, self.path = answer.status, answer.read().decode(), path
        connection.close()
        if self.status == 303:
            return self._ask("GET", answer.headers["location"])
        return self

    @property
    def shown(self):
        """What is to be read, as one line."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text.partition("<body>")[2])).split())
