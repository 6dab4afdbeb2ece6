"""Who gets an answer from the viewer: its address alone, with its token, on this machine."""

import http.client
import urllib.parse

import pytest
import viewed_runs

pytest.importorskip("uvicorn", reason="the viewer needs starlette and uvicorn: pip install -e '.[view]'")
PATHS = ("/", "/answer", "/file", "/page.css", "/page.js", "/nothing", "/label", "/label/answer", "/label/rates")
FORMS = ("/label/begin", "/label/say", "/label/settle", "/wrong")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    viewed_runs.make(folder / "results", prompts=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLC_BENCH_CACHE", str(folder / "cache"))
        with viewed_runs.served(folder / "results") as (found, _):
            yield urllib.parse.urlsplit(found)


def ask(address, path="/", token=None, method="GET", host=None, body=None, **headers):
    """Status, headers and text; the right token where none is given."""
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    token = urllib.parse.parse_qs(address.query)["token"][0] if token is None else token
    connection.putrequest(method, f"{path}?token={token}", skip_host=True)
    for one in [host] if isinstance(host, str) or host is None else host:
        connection.putheader("Host", one or address.netloc)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read().decode()
    connection.close()
    return found


def refused(found, status=403):
    assert found[0] == status
    assert found[1]["content-type"].startswith("text/plain")
    assert "p0" not in found[2]
    return True


def test_the_address_that_is_printed_shows_the_answers(address):
    status, headers, text = ask(address)
    assert status == 200
    assert "p0" in text
    assert address.hostname == "127.0.0.1"
    assert len(urllib.parse.parse_qs(address.query)["token"][0]) >= 32
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"  # the address holds the token: no other site sees it
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "wrong", "x" * 32])
def test_a_wrong_token(address, path, token):
    assert refused(ask(address, path, token=token))


def test_two_tokens(address):
    right = urllib.parse.parse_qs(address.query)["token"][0]
    assert refused(ask(address, token=f"wrong&token={right}"))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "[::1]", " ", "0.0.0.0"],
)
def test_another_host(address, host):
    """As a name that an attacker has pointed at this machine is sent."""
    assert refused(ask(address, host=host))


def test_two_hosts(address):
    assert ask(address, host=[address.netloc, "evil.example"])[0] in (400, 403)


def test_a_tunnel_may_have_another_port(address):
    assert ask(address, host="localhost:9999")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://localhost:1"])
def test_a_cross_site_request_by_its_origin(address, origin):
    assert refused(ask(address, Origin=origin))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_cross_site_request_by_its_metadata(address, site):
    assert refused(ask(address, Sec_Fetch_Site=site))


def test_its_own_pages_may_ask(address):
    own = {"Origin": f"http://{address.netloc}", "Sec_Fetch_Site": "same-origin"}
    assert ask(address, "/page.js", **own)[0] == 200
    assert ask(address, Sec_Fetch_Site="none")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(address, method):
    assert refused(ask(address, method=method), 405)


def send(address, path, body=b"annotator=", **changes):
    """A form as a page of the viewer sends it, but for the changes."""
    headers = {
        "Origin": f"http://{address.netloc}",
        "Sec_Fetch_Site": "same-origin",
        "Content_Type": "application/x-www-form-urlencoded",
        "Content_Length": str(len(body)),
    }
    token, host = changes.pop("token", None), changes.pop("host", None)
    headers = {name: value for name, value in (headers | changes).items() if value is not None}
    return ask(address, path, token, "POST", host, body, **headers)


@pytest.mark.parametrize("path", FORMS)
def test_a_form_with_a_wrong_token(address, path):
    assert refused(send(address, path, token="x" * 32))


@pytest.mark.parametrize("path", FORMS)
def test_a_form_to_another_host(address, path):
    evil = "evil.example"
    assert refused(send(address, path, host=evil, Origin=f"http://{evil}"))


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": None},
        {"Origin": None, "Sec_Fetch_Site": None},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example", "Sec_Fetch_Site": None},
    ],
)
def test_a_form_of_another_site(address, path, headers):
    assert refused(send(address, path, **headers))


@pytest.mark.parametrize("path", FORMS)
def test_a_form_has_a_length_and_a_limit(address, path):
    assert refused(
        send(address, path, Content_Length=None, Transfer_Encoding="chunked", body=b"1\r\na\r\n0\r\n\r\n"), 411
    )
    assert refused(send(address, path, Content_Length=str((1 << 18) + 1)), 413)
    assert refused(send(address, path, Content_Length="9" * 12), 413)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"annotator=a", "text/plain"),
        (b"{}", "application/json"),
        (b"annotator=a&evil=1", None),
        (b"annotator=%ff&who=%ff&session=%ff", None),
        (b"annotator=\xff", None),
        (b"&".join(b"a=1" for _ in range(2000)), None),
    ],
)
@pytest.mark.parametrize("path", FORMS)
def test_what_is_no_form_of_ours_is_said_in_one_line(address, path, body, kind):
    status, _, text = send(address, path, body, **({"Content_Type": kind} if kind else {}))
    assert status == 400
    assert "Nothing was kept" in text


def test_forms_are_sent_and_not_got(address):
    for path in FORMS:
        assert ask(address, path)[0] in (404, 405)


def test_what_is_not_there_is_said_in_one_line(address):
    assert "there is no such page" in ask(address, "/nothing")[2]
    assert ask(address, "/nothing")[0] == 404
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    for query, status in (("lang=xx", 400), ("x=%3Cscript%3E", 400), ("&".join(f"a{n}=1" for n in range(2000)), 400)):
        connection.request("GET", f"/?{query}&{address.query}")
        answer = connection.getresponse()
        assert (answer.status, b"<script>" in answer.read()) == (status, False)
    for name in ("", "a/b", "a/b/c/d", "x" * 5000):
        connection.request("GET", f"/answer?answer={name}&{address.query}")
        answer = connection.getresponse()
        assert answer.status == 404
        answer.read()
