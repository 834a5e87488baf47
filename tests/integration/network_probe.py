"""
Package code that tries to reach targets. Arguments, in JSON: {"targets": [[address, port]...], "wait_for": one of them
or null, "tamper": commands to run first}. It prints in JSON which target answered by TCP and UDP, also with the socket
bound to each device, and the exit codes of the commands.
"""

import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import time


def ask(kind, address, port, device=None, timeout=5):
    try:
        family, _, _, _, target = socket.getaddrinfo(address, port, type=kind)[0]
        with socket.socket(family, kind) as client:
            client.settimeout(timeout)
            if device:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            client.connect(target)
            if kind == socket.SOCK_DGRAM:
                client.send(b"\0" * 17)
            return client.recv(100).decode(errors="replace") or "nothing"
    except OSError as error:
        return f"no: {error.strerror or error}"


def wait_for(target):
    deadline = time.monotonic() + 30
    while ask(socket.SOCK_STREAM, *target).startswith("no: ") and time.monotonic() < deadline:
        time.sleep(0.1)


def exit_code(command):
    try:
        return subprocess.run(command, capture_output=True).returncode
    except OSError:
        return -1


def reached(asked):
    devices = [None, *(name for _, name in socket.if_nameindex() if name != "lo")]
    tries = [
        (f"{name} {address} {port}" + (f" {device}" if device else ""), kind, address, port, device)
        for address, port in asked["targets"]
        for name, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM))
        for device in devices
    ]
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
        return dict(zip([name for name, *_ in tries], pool.map(lambda one: ask(*one[1:]), tries)))


asked = json.loads(sys.argv[1])
if asked["wait_for"]:
    wait_for(asked["wait_for"])
tampered = {" ".join(command): exit_code(command) for command in asked["tamper"]}
print(json.dumps({"tampered": tampered, "reached": reached(asked)}))
