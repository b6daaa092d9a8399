"""What a page of another site in the user's browser gets of the Prefect server: nothing."""

import asyncio
import re

import httpx
import pytest
import websockets

from tests.project import asked

pytestmark = pytest.mark.slow
EVIL = {
    "another origin": {"Origin": "http://evil.example"},
    "a sandboxed frame": {"Origin": "null"},
    "another program of this machine": {"Origin": "http://127.0.0.1:9"},
    "the same name by TLS": {"Origin": "https://127.0.0.1:PORT"},
    "a name that leads here": {"Host": "evil.example"},
    "a name that leads here and its origin": {"Host": "evil.example", "Origin": "http://evil.example"},
    "a name that ends like ours": {"Host": "127.0.0.1.evil.example:PORT"},
}
PAGES = ["/", "/ui-settings", "/docs", "/openapi.json", "/project", "/reports/", "/api/admin/settings"]
PAGES += ["/api/csrf-token?client=evil", "/api/health"]
WEBSOCKETS = ["/api/events/in", "/api/events/out", "/api/logs/out"]
POOL = '{"name": "evil", "type": "process"}'


@pytest.fixture(scope="module")
def own(server) -> str:
    """The server's origin."""
    return server["PREFECT_API_URL"].removesuffix("/api")


@pytest.fixture(scope="module")
def port(own) -> str:
    return own.rpartition(":")[2]


@pytest.fixture(params=EVIL)
def sent(request, port) -> dict[str, str]:
    return {name: value.replace("PORT", port) for name, value in EVIL[request.param].items()}


@pytest.fixture(scope="module")
def client(own) -> httpx.Client:
    with httpx.Client(base_url=own, trust_env=False, timeout=30, follow_redirects=True) as client:
        yield client


def test_another_site_s_page_reads_and_writes_nothing(client, own, sent):
    for page in PAGES:
        answer = client.get(page, headers=sent)
        assert answer.status_code in (400, 403) and "access-control-allow-origin" not in answer.headers, page
    for kind in ("text/plain", "application/json"):
        made = client.post("/api/work_pools/", content=POOL, headers={"Content-Type": kind, **sent})
        assert made.status_code in (400, 403)
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = client.options("/api/work_pools/", headers={**preflight, **sent})
    assert allowed.status_code in (400, 403) and "access-control-allow-origin" not in allowed.headers
    pools = asked(f"{own}/api", "/work_pools/filter", {}).json()
    assert "evil" not in {pool["name"] for pool in pools}


@pytest.mark.parametrize("path", WEBSOCKETS)
def test_another_site_s_page_opens_no_websocket(client, path, sent):
    opening = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "prefect"}
    assert client.get(path, headers={**opening, **key, **sent}).status_code in (400, 403)
    with client.stream("GET", path, headers={**opening, **key}) as opened:
        assert opened.status_code == 101, "what was refused is a handshake"


def test_a_form_of_an_old_browser_that_names_no_origin_writes_nothing(client):
    sent = client.post("/api/work_pools/", content=POOL, headers={"Content-Type": "text/plain"})
    assert sent.status_code == 403 and "CSRF" in sent.text


def test_no_other_page_shows_what_is_here_in_a_frame_or_as_a_picture(client):
    for page in ("/", "/reports/", "/api/health"):
        headers = client.get(page).headers
        assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_server_s_own_page_works(client, own, port, name):
    """What a browser does with the UI, by either name: load it, get a token, ask, listen."""
    sent = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
    page = client.get("/", headers={**sent, "Accept": "text/html"})
    script = re.search(r'src="([^"]+\.js)"', page.text)[1]
    assert page.status_code == 200 and client.get(script, headers=sent).status_code == 200
    settings = client.get("/ui-settings", headers=sent).json()
    assert settings["api_url"] == "/api" and settings["csrf_enabled"]
    token = client.get("/api/csrf-token", params={"client": name}, headers=sent).json()["token"]
    proof = {"Prefect-Csrf-Client": name, "Prefect-Csrf-Token": token}
    assert client.post("/api/flows/filter", json={}, headers={**sent, **proof}).status_code == 200

    async def opens() -> bool:
        listening = websockets.connect(
            f"ws://127.0.0.1:{port}/api/events/out", origin=own, subprotocols=["prefect"], proxy=None
        )
        async with listening as events:
            return events.state.name == "OPEN"

    assert asyncio.run(opens())
