#!/usr/bin/env python3
# memcached: a fixed script of commands over four connections, two worker threads, ended by SIGTERM.
import os
import shutil
import socket
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/victims")
from run_victim import *

SERVER = shutil.which("memcached")
ROUNDS = 400


def script(client):
    """Commands on keys of the client's own, whose answers depend on nothing but those before them."""
    for i in range(ROUNDS):
        key, value = f"c{client}-{i % 50}", "v" * (i * 37 % 1500) + str(i)
        yield f"set {key} {i} 0 {len(value)}\r\n{value}\r\n"
        yield f"get {key} c{client}-{(i + 7) % 50}\r\n"
        yield f"append {key} 0 0 3\r\nend\r\n"
        yield f"add {key} 0 0 1\r\nx\r\n"  # it is there
        yield f"set n{client} 0 0 2\r\n10\r\n"
        yield f"incr n{client} {i}\r\n"
        yield f"decr n{client} 3\r\n"
        yield f"touch {key} 1000\r\n"
        if i % 5 == 0:
            yield f"delete {key}\r\n"
        if i % 50 == 0:
            big = "b" * 200000
            yield f"set big{client} 0 0 {len(big)}\r\n{big}\r\nget big{client}\r\n"
    yield "nonsense\r\n"
    yield "incr c-none 1\r\n"
    yield f"set {'k' * 300} 0 0 1\r\nx\r\n"  # the key is too long


def answers(s, commands):
    """What comes back up to the mark, which is asked for last."""
    data, got, at = ("".join(commands) + "mn\r\n").encode(), b"", 0
    while not got.endswith(b"MN\r\n"):
        if at < len(data):
            at += s.send(data[at:at + 30000])
            s.setblocking(False)
        try:
            part = s.recv(1 << 20)
            if not part:
                raise RuntimeError("the server closed the connection")
            got += part
        except BlockingIOError:
            pass
        s.settimeout(30)
    return got


def answers_version(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(b"version\r\n")
            return s.recv(100).startswith(b"VERSION ")
    except OSError:
        return False


def drive(port, server):
    wait_for(lambda: answers_version(port), "memcached", server)
    told = b""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(4)]
    for number, client in enumerate(clients):
        told += answers(client, script(number))
    if told.count(b"\r\nSTORED\r\n") < 4 * ROUNDS:
        raise RuntimeError(f"it stored too little: {told[:200]}")
    told += answers(clients[0], ["flush_all\r\n", "get c0-1\r\n"])
    for client in clients:
        client.close()
    server.terminate()
    return told


def command(port, folder):
    return [SERVER, "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "2", "-m", "32"]


if SERVER:
    compare_server("memcached", command, drive)
else:
    skip("memcached", "it is not installed")
