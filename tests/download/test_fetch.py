"""Downloads against a real server on the loopback interface, with real kills and real second processes."""

import contextlib
import hashlib
import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from convnet.download.fetch import Address, Fetched, fetch
from convnet.features.weights import is_published
from convnet.params.load import load_params
from convnet.system.errors import UserError
from helpers.tiny_study import PROJECT

MIB = 2**20
CONTENT = hashlib.shake_256(b"an archive").digest(3 * MIB + 12345)
OTHER = hashlib.shake_256(b"another archive").digest(len(CONTENT))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FOLDER_LEFT_CLEAN = ["pets.zip"]
LIMIT = 60  # seconds; every wait on another process or thread ends there


# -- the server: each request takes the next answer of the list, the last answer repeats --


@dataclass
class Site:
    """A server on 127.0.0.1 and what it was asked."""

    port: int
    answers: list["Answer"] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, *answers: "Answer") -> None:
        self.answers[:] = answers

    def url(self, name: str = "pets.zip") -> str:
        return f"http://127.0.0.1:{self.port}/files/{name}"


Answer = Callable[[BaseHTTPRequestHandler], None]


def answer_file(
    content: bytes = CONTENT,
    *,
    etag: str | None = '"one"',
    ranges: bool = True,
    cut: float | None = None,
    length: bool = True,
    announced: int | None = None,
    stall: threading.Event | None = None,
    obey_if_range: bool = True,
) -> Answer:
    """Answer with a file; `cut` ends the connection at that share of it, `stall` holds the rest until it is set."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        start = 0
        asked = request.headers.get("Range")
        if asked and ranges and (request.headers.get("If-Range") == etag or not obey_if_range):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                request.send_response(416)
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        if length:
            request.send_header("Content-Length", str(announced or len(content) - start))
        if etag:
            request.send_header("ETag", etag)
        request.send_header("Content-Type", "application/zip")
        request.end_headers()
        end = len(content) if cut is None else int(cut * len(content))
        request.wfile.write(content[start:end])
        request.wfile.flush()
        if stall:
            stall.wait(LIMIT)
            request.wfile.write(content[end:])

    return answer


def answer_status(code: int, **headers: str) -> Answer:
    """Answer with a status, an empty body and headers (an underscore stands for a hyphen)."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def answer_page(content_type: str) -> Answer:
    """Answer with a sign-in page and status 200."""
    body = b"\n<!DOCTYPE html><html><body>Please sign in</body></html>"

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", content_type)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A running server."""
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with running.lock:
                running.ranges.append(self.headers.get("Range"))
                running.paths.append(self.path)
                answer = running.answers.pop(0) if len(running.answers) > 1 else running.answers[0]
            with contextlib.suppress(ConnectionError):  # the client went away: killed, or it had seen enough
                answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Site(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        server.shutdown()
        thread.join()


def get(destination: Path, *urls: str, pauses: list[float] | None = None, **changes: Any) -> Fetched:
    """Fetch the pinned file, without waiting between attempts."""
    pins: dict[str, Any] = {"bytes": len(CONTENT), "sha256": SHA256}
    pins |= {name: changes.pop(name) for name in ("bytes", "sha256", "md5") if name in changes}
    options = {"redirect_folder": None, "timeout": 10.0, "wait": ([] if pauses is None else pauses).append}
    return fetch(Address(urls, **pins), destination, **(options | changes))


def closed_port() -> str:
    """An address where nobody listens: what being offline looks like to a client."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/pets.zip"


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """Where the file is to lie."""
    return tmp_path / "archives" / "pets" / "pets.zip"


def files(destination: Path) -> list[str]:
    """All names in the destination's folder, hidden ones too."""
    return sorted(path.name for path in destination.parent.iterdir())


# -- a plain download --


def test_file_is_fetched_whole_and_nothing_else_is_left(site: Site, destination: Path) -> None:
    site.serve(answer_file())
    fetched = get(destination, site.url())
    assert fetched == Fetched(destination, SHA256, len(CONTENT), "official", None)
    assert destination.read_bytes() == CONTENT
    assert files(destination) == FOLDER_LEFT_CLEAN


def test_missing_checksum_is_accepted_and_the_note_gives_the_pin(site: Site, destination: Path) -> None:
    site.serve(answer_file())
    fetched = get(destination, site.url(), sha256=None, bytes=None)
    assert fetched.origin == "official"
    assert fetched.note == f"no published checksum: pin sha256: {SHA256} bytes: {len(CONTENT)} in params.yaml"


def test_md5_alone_is_a_pin(site: Site, destination: Path) -> None:
    site.serve(answer_file())
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert get(destination, site.url(), sha256=None, md5=md5.upper()).note is None
    site.serve(answer_file(OTHER))
    with pytest.raises(UserError, match=f"md5: expected {md5}, found {hashlib.md5(OTHER).hexdigest()}"):
        get(destination.with_name("other.zip"), site.url(), sha256=None, md5=md5)


def test_body_of_unknown_length_is_read_to_its_end(site: Site, destination: Path) -> None:
    site.serve(answer_file(length=False))
    assert get(destination, site.url(), bytes=None).sha256 == SHA256


def test_body_of_unknown_length_that_is_too_long_is_refused(site: Site, destination: Path) -> None:
    site.serve(answer_file(CONTENT + b"x", length=False))
    with pytest.raises(UserError, match=f"expected {len(CONTENT):,}, found {len(CONTENT) + 1:,}"):
        get(destination, site.url(), sha256=None)


@pytest.mark.parametrize("pinned", [True, False])
def test_endless_body_is_stopped_and_removed(
    site: Site, destination: Path, pinned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(CONTENT)

    site.serve(endless)
    monkeypatch.setattr("convnet.download.http.MOST_BYTES", 4 * MIB)
    reason = f"found {len(CONTENT) + 1:,}" if pinned else f"sends more than {4 * MIB:,} bytes"
    with pytest.raises(UserError, match=reason):
        get(destination, site.url(), sha256=None, bytes=len(CONTENT) if pinned else None)
    assert files(destination) == []


def test_address_with_blanks_and_letters_outside_ascii_is_quoted(site: Site, tmp_path: Path) -> None:
    site.serve(answer_file())
    address = Address((site.url("my%20pets ü.zip?token=1"),), sha256=SHA256)
    assert address.name == "my pets ü.zip"
    assert fetch(address, tmp_path / address.name, redirect_folder=None).path.name == "my pets ü.zip"
    assert site.paths == ["/files/my%20pets%20%C3%BC.zip?token=1"]


# -- the wrong file --


def test_wrong_checksum_names_both_and_keeps_nothing(site: Site, destination: Path) -> None:
    site.serve(answer_file(OTHER))
    with pytest.raises(UserError) as error:
        get(destination, site.url())
    for part in ("pets.zip", SHA256, hashlib.sha256(OTHER).hexdigest(), "params.yaml"):
        assert part in str(error.value)
    assert files(destination) == []
    assert len(site.ranges) == 1, "a file that came in one piece is not asked for again"


def test_wrong_announced_size_is_refused_before_the_body(site: Site, destination: Path) -> None:
    site.serve(answer_file(CONTENT[:100]))
    with pytest.raises(UserError, match=f"bytes: expected {len(CONTENT):,}, found 100"):
        get(destination, site.url())


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_instead_of_the_file_is_refused(site: Site, destination: Path, content_type: str) -> None:
    site.serve(answer_page(content_type))
    with pytest.raises(UserError, match="a web page, not the file: a sign-in page, or the address has moved"):
        get(destination, site.url(), sha256=None, bytes=None)
    assert files(destination) == []


def test_download_larger_than_the_disk_is_refused_with_both_numbers(site: Site, destination: Path) -> None:
    site.serve(answer_file(announced=10**18))
    with pytest.raises(UserError, match=r"needs 1,000,000,000,000,000,000 bytes .* only [\d,]+ are free in"):
        get(destination, site.url(), bytes=None)
    assert files(destination) == []


def test_pinned_size_is_held_against_the_disk_where_the_server_tells_none(site: Site, destination: Path) -> None:
    site.serve(answer_file(length=False))
    with pytest.raises(UserError, match=r"needs 1,000,000,000,000,000,000 bytes .* only [\d,]+ are free in"):
        get(destination, site.url(), bytes=10**18)
    assert files(destination) == []


# -- faults that pass --


def test_two_server_errors_then_fine(site: Site, destination: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site.serve(answer_status(500), answer_status(503), answer_file())
    pauses: list[float] = []
    assert get(destination, site.url(), pauses=pauses).sha256 == SHA256
    assert pauses == [1.0, 2.0]
    assert "HTTP 500 Internal Server Error; attempt 2 of 5 in 1 s" in capfd.readouterr().err


def test_retry_after_in_seconds_and_as_a_date_is_honoured(site: Site, destination: Path) -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    site.serve(answer_status(429, Retry_After="7"), answer_status(429, Retry_After=past), answer_file())
    pauses: list[float] = []
    assert get(destination, site.url(), pauses=pauses).sha256 == SHA256
    assert pauses == [7.0, 0.0]


def test_retry_after_of_an_hour_is_not_waited_for(site: Site, destination: Path) -> None:
    site.serve(answer_status(429, Retry_After="3600"))
    pauses: list[float] = []
    with pytest.raises(UserError, match="HTTP 429 Too Many Requests, and the server asks to wait 3600 s"):
        get(destination, site.url(), pauses=pauses)
    assert pauses == []


def test_attempts_are_bounded(site: Site, destination: Path) -> None:
    site.serve(answer_status(503))
    pauses: list[float] = []
    with pytest.raises(UserError, match=r"HTTP 503 Service Unavailable \(5 attempts\)"):
        get(destination, site.url(), pauses=pauses)
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_server_that_falls_silent_is_asked_again(site: Site, destination: Path) -> None:
    release = threading.Event()
    site.serve(answer_file(cut=0.6, stall=release), answer_file())
    try:
        assert get(destination, site.url(), timeout=0.3).sha256 == SHA256
    finally:
        release.set()
    assert site.ranges[0] is None
    assert site.ranges[1] == f"bytes={int(0.6 * len(CONTENT))}-"


# -- resuming --


def test_cut_connection_is_resumed_by_range(site: Site, destination: Path) -> None:
    site.serve(answer_file(cut=0.6), answer_file())
    assert get(destination, site.url()).sha256 == SHA256
    assert site.ranges == [None, f"bytes={int(0.6 * len(CONTENT))}-"]
    assert files(destination) == FOLDER_LEFT_CLEAN


def test_poor_line_that_gains_ground_is_not_given_up(site: Site, destination: Path) -> None:
    site.serve(*(answer_file(cut=share) for share in (0.34, 0.68)), answer_file())
    assert get(destination, site.url(), retries=1).sha256 == SHA256
    assert len(site.ranges) == 3


def test_server_that_always_cuts_at_the_same_byte_is_given_up(site: Site, destination: Path) -> None:
    size = int(0.6 * len(CONTENT))
    site.serve(answer_file(ranges=False, cut=0.6))
    with pytest.raises(UserError, match=f"the connection ended at {size:,} of {len(CONTENT):,} bytes"):
        get(destination, site.url(), retries=2)


def test_server_without_ranges_starts_again(site: Site, destination: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site.serve(answer_file(cut=0.6), answer_file(ranges=False))
    assert get(destination, site.url()).sha256 == SHA256
    assert "pets.zip: the server cannot resume; starting again" in capfd.readouterr().err


@pytest.mark.parametrize("obey_if_range", [True, False])
def test_file_that_changed_between_two_runs_starts_again_and_says_so(
    site: Site, destination: Path, capfd: pytest.CaptureFixture[str], obey_if_range: bool
) -> None:
    site.serve(answer_file(OTHER, etag='"old"', cut=0.6))
    with pytest.raises(UserError, match="the connection ended"):
        get(destination, site.url(), sha256=None, retries=0)
    site.serve(answer_file(etag='"new"', obey_if_range=obey_if_range))
    assert get(destination, site.url(), sha256=None).sha256 == SHA256
    assert "pets.zip: the file on the server has changed; starting again" in capfd.readouterr().err


def test_file_without_etag_or_date_is_never_joined(site: Site, destination: Path) -> None:
    site.serve(answer_file(OTHER, etag=None, cut=0.6), answer_file(etag=None))
    assert get(destination, site.url(), sha256=None).sha256 == SHA256
    assert site.ranges == [None, None]


def test_weak_etag_is_not_sent_as_if_range(site: Site, destination: Path) -> None:
    site.serve(answer_file(etag='W/"one"', cut=0.6), answer_file(etag='W/"one"'))
    assert get(destination, site.url()).sha256 == SHA256
    assert site.ranges == [None, None]


def test_joined_file_with_a_wrong_checksum_is_fetched_once_more_in_one_piece(site: Site, destination: Path) -> None:
    liar = '"the same for two files"'
    site.serve(answer_file(OTHER, etag=liar, cut=0.6), answer_file(etag=liar))
    assert get(destination, site.url()).sha256 == SHA256
    assert site.ranges == [None, f"bytes={int(0.6 * len(CONTENT))}-", None]


def test_partial_file_beyond_the_end_is_dropped_on_416(site: Site, destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    partial = destination.with_name(".pets.zip.partial")
    partial.write_bytes(CONTENT + b"too much")
    source = {"url": site.url(), "etag": '"one"', "last_modified": None, "total": len(CONTENT)}
    partial.with_name(".pets.zip.partial.json").write_text(json.dumps(source))
    site.serve(answer_file())
    assert get(destination, site.url()).sha256 == SHA256
    assert site.ranges == [f"bytes={len(CONTENT) + 8}-", None]
    assert files(destination) == FOLDER_LEFT_CLEAN


def test_whole_partial_file_needs_no_network(destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    url = closed_port()
    destination.with_name(".pets.zip.partial").write_bytes(CONTENT)
    source = {"url": url, "etag": '"one"', "last_modified": None, "total": len(CONTENT)}
    destination.with_name(".pets.zip.partial.json").write_text(json.dumps(source))
    assert get(destination, url).sha256 == SHA256


def test_damaged_memory_of_a_partial_file_only_costs_a_fresh_start(site: Site, destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.with_name(".pets.zip.partial").write_bytes(OTHER[:MIB])
    destination.with_name(".pets.zip.partial.json").write_text('{"url": ')
    site.serve(answer_file())
    assert get(destination, site.url()).sha256 == SHA256
    assert site.ranges == [None]


def test_partial_file_lies_in_the_folder_named_for_it(site: Site, destination: Path, tmp_path: Path) -> None:
    kept = tmp_path / "unfinished"
    site.serve(answer_file(cut=0.6))
    with pytest.raises(UserError, match=f"place the file by hand at {kept / 'pets.zip'}"):
        get(destination, site.url(), partial_folder=kept, retries=0)
    shutil.rmtree(destination.parent, ignore_errors=True)  # DVC empties a stage's outputs before it runs
    site.serve(answer_file())
    assert get(destination, site.url(), partial_folder=kept).sha256 == SHA256
    assert site.ranges[-1] == f"bytes={int(0.6 * len(CONTENT))}-"
    assert list(kept.iterdir()) == []


# -- mirrors and offline --


def test_next_mirror_after_404(site: Site, destination: Path) -> None:
    site.serve(answer_status(404), answer_file())
    pauses: list[float] = []
    assert get(destination, site.url("gone.zip"), site.url(), pauses=pauses).sha256 == SHA256
    assert pauses == []


def test_next_mirror_after_a_wrong_file(site: Site, destination: Path) -> None:
    site.serve(answer_file(OTHER, etag='"other"'), answer_file())
    assert get(destination, site.url("old.zip"), site.url()).sha256 == SHA256


def test_part_from_one_mirror_is_not_continued_at_another(site: Site, destination: Path) -> None:
    site.serve(answer_file(OTHER, cut=0.6), answer_file())  # with the same ETag, as a careless mirror may have
    assert get(destination, site.url("a.zip"), site.url("b.zip"), sha256=None, retries=0).sha256 == SHA256
    assert site.ranges == [None, None]


def test_all_mirrors_failed_is_one_sentence_with_each_reason(site: Site, destination: Path) -> None:
    site.serve(answer_status(403), answer_page("text/html"))
    offline = closed_port()
    with pytest.raises(UserError) as error:
        get(destination, site.url("a.zip?token=secret"), site.url("b.zip"), offline)
    message = str(error.value)
    assert f"{site.url('a.zip')}: HTTP 403 Forbidden; {site.url('b.zip')}: the server sent a web page" in message
    assert f"{offline}: the connection was refused" in message
    assert f"by hand at {destination} or in a folder named by the environment variable CONVNET_DATA" in message
    assert "secret" not in message
    assert "\n" not in message


def test_offline_with_a_stand_in_folder_names_both_places(destination: Path, tmp_path: Path) -> None:
    stand_ins = tmp_path / "data"
    stand_ins.mkdir()
    with pytest.raises(UserError) as error:
        get(destination, closed_port(), redirect_folder=stand_ins)
    for place in (destination, stand_ins, tmp_path / "weights"):
        assert str(place) in str(error.value)


def test_redirect_to_another_page_of_the_site_is_followed(site: Site, destination: Path) -> None:
    site.serve(answer_status(302, Location="/files/moved.zip"), answer_file())
    assert get(destination, site.url()).sha256 == SHA256


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/pets.zip?secret", "file:///etc/hostname?secret", "?secret"])
def test_redirect_out_of_http_or_in_a_circle_is_refused(site: Site, destination: Path, target: str) -> None:
    site.serve(answer_status(302, Location=target))
    with pytest.raises(
        UserError, match=r"refused a redirect from http to (ftp|file)|the redirects go in a circle"
    ) as error:
        get(destination, site.url())
    assert "secret" not in str(error.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make a certificate")
def test_redirect_from_https_to_http_is_refused(
    site: Site, destination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("direct.zip"):
                answer_file()(self)
            else:
                answer_status(302, Location=site.url())(self)

        def log_message(self, *_: Any) -> None:
            pass

    site.serve(answer_file())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            base = f"https://127.0.0.1:{server.server_address[1]}"
            with pytest.raises(UserError, match="the server's certificate is not trusted"):
                get(destination, f"{base}/direct.zip")
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            with pytest.raises(UserError, match="refused a redirect from https to http"):
                get(destination, f"{base}/pets.zip")
            assert get(destination, f"{base}/direct.zip").sha256 == SHA256
        finally:
            server.shutdown()
            thread.join()
    assert site.ranges == [], "the open server was never asked"


# -- the stand-in folder --


@pytest.mark.parametrize("folder", ["data", "weights"])
def test_stand_in_is_taken_instead_of_the_network(destination: Path, tmp_path: Path, folder: str) -> None:
    for name in ("data", "weights"):
        (tmp_path / name).mkdir()
    (tmp_path / folder / "pets.zip").write_bytes(OTHER)
    fetched = get(destination, closed_port(), redirect_folder=tmp_path / "data")
    found = hashlib.sha256(OTHER).hexdigest()
    note = f"not the official file: pinned sha256 {SHA256[:8]}…, this one {found[:8]}…"
    assert fetched == Fetched(destination, found, len(OTHER), "redirected", note)
    assert destination.read_bytes() == OTHER


def test_stand_in_equal_to_the_pin_or_without_a_pin_has_no_note(destination: Path, tmp_path: Path) -> None:
    (tmp_path / "pets.zip").write_bytes(CONTENT)
    assert get(destination, closed_port(), redirect_folder=tmp_path).note is None
    assert get(destination, closed_port(), redirect_folder=tmp_path, sha256=None, bytes=None).note is None


def test_stand_in_comes_before_a_file_already_in_place(destination: Path, tmp_path: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.write_bytes(CONTENT)
    (tmp_path / "pets.zip").write_bytes(OTHER)
    assert get(destination, closed_port(), redirect_folder=tmp_path).origin == "redirected"
    assert destination.read_bytes() == OTHER


def test_file_missing_in_the_stand_in_folder_comes_from_the_network(
    site: Site, destination: Path, tmp_path: Path
) -> None:
    site.serve(answer_file())
    assert get(destination, site.url(), redirect_folder=tmp_path).origin == "official"


def test_stand_in_that_is_a_web_page_is_refused(destination: Path, tmp_path: Path) -> None:
    (tmp_path / "pets.zip").write_bytes(b"<html>sign in</html>")
    with pytest.raises(UserError, match=r"pets\.zip: content: .* found a web page; replace it, or unset CONVNET_DATA"):
        get(destination, closed_port(), redirect_folder=tmp_path)
    assert files(destination) == []


def test_stand_in_folder_that_does_not_exist_is_named(destination: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere \(CONVNET_DATA\) does not exist"):
        get(destination, closed_port(), redirect_folder=tmp_path / "nowhere")


@pytest.mark.skipif("CONVNET_DATA" not in os.environ, reason="CONVNET_DATA names no folder of real archives")
def test_real_stand_in_is_noted_as_not_official(tmp_path: Path) -> None:
    address = Address(
        ("https://storage.googleapis.com/learning-datasets/validation-horse-or-human.zip",),
        bytes=11_480_187,
        sha256="ae5fff2f4f5554791f05358108e2e05d9801b191f1896ea101402f0e7f6c32c0",
    )
    fetched = fetch(address, tmp_path / address.name, redirect_folder=Path(os.environ["CONVNET_DATA"]))
    assert fetched.note == "not the official file: pinned sha256 ae5fff2f…, this one 57edacc3…"


# -- local files and files in place --


@pytest.mark.parametrize("form", ["path", "file://", "file://localhost"])
def test_local_file_is_copied_and_checked(destination: Path, tmp_path: Path, form: str) -> None:
    source = tmp_path / "my pets.zip"
    source.write_bytes(CONTENT)
    url = str(source) if form == "path" else form + str(source).replace(" ", "%20")
    fetched = get(destination, url)
    assert (fetched.origin, fetched.sha256, fetched.note) == ("local", SHA256, None)
    assert destination.stat().st_ino != source.stat().st_ino, "a later change of the source must not reach the copy"


def test_local_file_without_a_pin_has_no_note(destination: Path, tmp_path: Path) -> None:
    source = tmp_path / "pets.zip"
    source.write_bytes(CONTENT)
    assert get(destination, str(source), sha256=None, bytes=None).note is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (OTHER, f"sha256: expected {SHA256}"),
        (b"<!doctype HTML><title>x", "found a web page"),
        (None, "no such file"),
    ],
)
def test_unfit_local_file_is_refused(destination: Path, tmp_path: Path, content: bytes | None, reason: str) -> None:
    source = tmp_path / "pets.zip"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        get(destination, str(source))
    assert files(destination) == []


def test_folder_as_an_address_is_refused(destination: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder, not a file"):
        get(destination, str(tmp_path))


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_file_in_place_is_taken_without_network(destination: Path, sha256: str | None) -> None:
    destination.parent.mkdir(parents=True)
    destination.write_bytes(CONTENT)
    fetched = get(destination, closed_port(), sha256=sha256, bytes=None)
    assert fetched.sha256 == SHA256
    assert fetched.origin == ("official" if sha256 else "local")
    assert (fetched.note is None) == (sha256 is not None)


def test_file_placed_by_hand_in_the_partial_folder_is_taken(destination: Path, tmp_path: Path) -> None:
    kept = tmp_path / "unfinished"
    kept.mkdir()
    (kept / "pets.zip").write_bytes(CONTENT)
    assert get(destination, closed_port(), partial_folder=kept).origin == "official"
    assert destination.read_bytes() == (kept / "pets.zip").read_bytes() == CONTENT


def test_wrong_file_in_place_is_replaced(site: Site, destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.write_bytes(OTHER)
    site.serve(answer_file())
    assert get(destination, site.url()).sha256 == SHA256
    assert destination.read_bytes() == CONTENT


def test_wrong_file_in_place_is_kept_and_named_when_offline(destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.write_bytes(OTHER)
    with pytest.raises(UserError, match=f"{destination}: sha256: expected {SHA256}"):
        get(destination, closed_port())
    assert destination.read_bytes() == OTHER


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "archives").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"pets\.zip could not be stored at .*: File exists|Not a directory"):
        get(tmp_path / "archives" / "pets.zip", closed_port())


# -- addresses --


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://host/pets.zip", "is not an http, https or file address"),
        ("data:application/zip,abc", "is not an http, https or file address"),
        ("file://server/pets.zip", "is not an http, https or file address"),
        ("https:///pets.zip", "is not an http, https or file address"),
        ("http://host:port/pets.zip", "malformed"),
        ("http://[host/pets.zip", "malformed"),
        ("https://user:secret@host/pets.zip", "https://host/pets.zip is given with a user name or password"),
        ("https://host/", "gives no file name"),
        ("https://host/a%2Fb/..", "gives no file name"),
    ],
)
def test_unusable_address_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as error:
        Address((url,))
    assert "secret" not in str(error.value)


def test_address_without_urls_is_refused() -> None:
    with pytest.raises(UserError, match=r"no address is given for pets\.zip"):
        Address((), file="pets.zip")


@pytest.mark.parametrize("name", ["../pets.zip", "/etc/passwd", ".."])
def test_file_name_that_leaves_the_folder_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="gives no file name"):
        Address(("https://host/pets.zip",), file=name)


# -- other processes --

SCRIPT = """
import sys
from pathlib import Path
from convnet.download.fetch import Address, fetch
url, destination, sha256 = sys.argv[1:]
print(fetch(Address((url,), sha256=sha256), Path(destination), redirect_folder=None, timeout=60).sha256)
"""


def start_fetch(site: Site, destination: Path, **streams: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, site.url(), str(destination), SHA256]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, **streams)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_killed_download_leaves_no_half_file_and_is_resumed(site: Site, destination: Path) -> None:
    release = threading.Event()
    site.serve(answer_file(cut=0.6, stall=release))
    partial = destination.with_name(".pets.zip.partial")
    with start_fetch(site, destination) as process:
        try:
            wait_until(lambda: partial.exists() and partial.stat().st_size >= 0.5 * len(CONTENT))
            process.kill()
            assert process.wait(LIMIT) == -9
        finally:
            process.kill()
            release.set()
    assert not destination.exists()
    size = partial.stat().st_size
    site.serve(answer_file())
    assert get(destination, site.url()).sha256 == SHA256
    assert site.ranges == [None, f"bytes={size}-"]
    assert files(destination) == FOLDER_LEFT_CLEAN, "the dead process's lock file is gone too"


def test_second_process_waits_and_finds_the_file(site: Site, destination: Path) -> None:
    release = threading.Event()
    site.serve(answer_file(cut=0.6, stall=release))
    with start_fetch(site, destination) as first:
        try:
            wait_until(lambda: len(site.ranges) == 1)
            with start_fetch(site, destination, stderr=subprocess.PIPE) as second:
                assert second.stderr is not None
                assert "pets.zip: waiting for another process" in second.stderr.readline()
                release.set()
                outputs = [process.communicate(timeout=LIMIT)[0].strip() for process in (first, second)]
        finally:
            release.set()
            first.kill()
    assert outputs == [SHA256, SHA256]
    assert len(site.ranges) == 1, "the second process asked the server"
    assert files(destination) == FOLDER_LEFT_CLEAN


def test_server_that_does_not_speak_http_has_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`convnet init` asks where weights can be had: whatever answers there, it goes on without."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("CONVNET_DATA", raising=False)

    def greet() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(b"220 mail.example.org ready\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet)
        thread.start()
        backbone = load_params(PROJECT / "params.yaml").backbones["inception_v3"]
        url = f"http://127.0.0.1:{server.getsockname()[1]}/weights.h5"
        weights = backbone.weights.model_copy(update={"url": url})
        assert not is_published(weights)
        thread.join(LIMIT)


def test_progress_on_a_terminal_counts_mebibytes(site: Site, destination: Path) -> None:
    site.serve(answer_file())
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with start_fetch(site, destination, stderr=theirs):
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += (piece := os.read(ours, 65536))
            except OSError:  # how Linux tells that the other side of a terminal is closed
                break
            if not piece:
                break
    os.close(ours)
    assert b"pets.zip" in shown
    assert b" MiB" in shown
