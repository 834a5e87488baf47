"""
A machine and the internet, in two network namespaces. A test runs this program in its own network and mount namespaces.
It prints a line when everything is up, and exits when its input ends.

The machine is 192.0.2.2 and 2001:db8::2, and has services on loopback and a resolver on 127.0.0.53. The internet has
an ordinary server, 198.51.100.10 and 2001:db8:1::10 ("data.example"), and stand-ins of the credential endpoints.
Every server answers with its name, by TCP and by UDP.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import tempfile

MACHINE = ("192.0.2.2", "2001:db8::2")
ORDINARY = ("198.51.100.10", "2001:db8:1::10")
ENDPOINTS = ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23")
INTERNET = ("192.0.2.1", *ORDINARY, *ENDPOINTS)
PORTS = (8080, 8081)  # the machine's
RESOLVER = "127.0.0.53"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def add_addresses(device: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        ip("address", "add", address + ("/128" if ":" in address else "/32"), "dev", device, *(["nodad"] * (":" in address)))


def listen(selector: selectors.BaseSelector, address: str, port: int, answer: bytes | None) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    tcp = socket.socket(family, socket.SOCK_STREAM)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    for server in (tcp, udp):
        server.bind((address, port))
        selector.register(server, selectors.EVENT_READ, answer)
    tcp.listen(64)


def resolve(query: bytes) -> bytes:
    """Answers with the address of data.example. Other names have no address."""
    end = query.index(b"\0", 12) + 5
    known = query[12:end].lower().startswith(b"\4data\7example\0\0\1")
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(ORDINARY[0]) if known else b""
    return query[:2] + b"\x81\x80\0\1" + (b"\0\1" if known else b"\0\0") + b"\0\0\0\0" + query[12:end] + answer


def answer_one(server: socket.socket, answer: bytes | None) -> None:
    """None: answers as a resolver."""
    if server.type == socket.SOCK_DGRAM:
        query, sender = server.recvfrom(4096)
        server.sendto(answer or resolve(query), sender)
        return
    connection, _ = server.accept()
    with connection:
        connection.sendall(answer or b"resolver")


def serve(selector: selectors.BaseSelector) -> None:
    """Serves until the input ends."""
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                return
            assert isinstance(key.fileobj, socket.socket)
            with contextlib.suppress(OSError):
                answer_one(key.fileobj, key.data)


def be_internet() -> None:
    print("here", flush=True)
    sys.stdin.readline()  # the device exists
    ip("link", "set", "lo", "up")
    add_addresses("lo", (*ORDINARY, *ENDPOINTS))
    ip("address", "add", "192.0.2.1/24", "dev", "veth1")
    ip("address", "add", "2001:db8::1/64", "dev", "veth1", "nodad")
    ip("link", "set", "veth1", "up")
    selector = selectors.DefaultSelector()
    for address in INTERNET:
        listen(selector, address, 80, b"internet")
    print("up", flush=True)
    serve(selector)


def be_machine() -> None:
    ip("link", "set", "lo", "up")
    internet = subprocess.Popen(
        ["unshare", "--net", sys.executable, __file__, "internet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert internet.stdin and internet.stdout and internet.stdout.readline() == "here\n"
    ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", str(internet.pid))
    ip("address", "add", f"{MACHINE[0]}/24", "dev", "veth0")
    ip("address", "add", f"{MACHINE[1]}/64", "dev", "veth0", "nodad")
    ip("link", "set", "veth0", "up")
    internet.stdin.write("come\n")
    internet.stdin.flush()
    assert internet.stdout.readline() == "up\n"
    ip("route", "add", "default", "via", "192.0.2.1")
    ip("-6", "route", "add", "default", "via", "2001:db8::1")
    with tempfile.NamedTemporaryFile("w") as resolv_conf:
        os.chmod(resolv_conf.name, 0o644)
        resolv_conf.write(f"nameserver {RESOLVER}\noptions timeout:2\n")
        resolv_conf.flush()
        subprocess.run(["mount", "--bind", resolv_conf.name, os.path.realpath("/etc/resolv.conf")], check=True)
        selector = selectors.DefaultSelector()
        for address in ("127.0.0.1", "::1", *MACHINE):
            for port in PORTS:
                listen(selector, address, port, b"machine")
        listen(selector, RESOLVER, 53, None)
        print("up", flush=True)
        serve(selector)
    internet.stdin.close()
    internet.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["internet"]:
        be_internet()
    else:
        be_machine()
