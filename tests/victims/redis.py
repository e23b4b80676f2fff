#!/usr/bin/env python3
# redis-server: a fixed command script, redis-benchmark, a background save, a clean shutdown.
import os
import re
import shutil
import socket
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/victims")
from run_victim import *

SERVER, BENCHMARK = shutil.which("redis-server"), shutil.which("redis-benchmark")
MARK = b"$8\r\nthe-mark\r\n"


def script():
    """Commands whose answers depend on nothing but the commands before them."""
    for i in range(3000):
        yield f"SET k{i} {'v' * (i * 37 % 900)}{i}"
        yield f"APPEND k{i // 2} more"
        yield f"LPUSH list{i % 7} a{i} b{i}"
        yield f"ZADD z{i % 3} {i * 31 % 101} m{i}"
        yield f"HSET h{i % 5} f{i} {i}"
        yield f"SADD s{i % 4} {i * 17 % 500}"
        if i % 3 == 0:
            yield f"DEL k{i // 3}"
        if i % 50 == 0:
            yield f"LRANGE list{i % 7} 0 20"
            yield f"ZRANGE z{i % 3} 0 -1 WITHSCORES"
            yield f"EVAL \"local s=0 for i=1,1000 do s=s+i end return s+ARGV[1]\" 0 {i}"
            yield f"SETRANGE big {i * 1000} {i}"
            yield f"LTRIM list{i % 7} 0 100"
    yield "GETRANGE big 0 100"
    yield "NOSUCH command"
    yield "INCR list1"
    yield "DBSIZE"
    yield "DEBUG DIGEST"
    yield "DEBUG RELOAD"  # saves, empties, loads: every object is freed and made again
    yield "DEBUG DIGEST"
    yield "FLUSHALL"
    yield "DBSIZE"


def talk(port, commands):
    """All answers to inline commands, sent in one stream."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        data = "".join(c + "\r\n" for c in commands) + "ECHO the-mark\r\n"
        s.settimeout(30)
        answer, at = b"", 0
        data = data.encode()
        while not answer.endswith(MARK):
            if at < len(data):
                at += s.send(data[at:at + 20000])
                s.setblocking(False)
            try:
                part = s.recv(1 << 20)
                if not part:
                    raise RuntimeError("the server closed the connection")
                answer += part
            except BlockingIOError:
                pass
            s.settimeout(30)
        return answer


def answers_ping(port):
    try:
        return talk(port, ["PING"]).startswith(b"+PONG")
    except OSError:
        return False


def drive(port, server):
    wait_for(lambda: answers_ping(port), "redis-server", server)
    told = talk(port, script())
    done = run([BENCHMARK, "-h", "127.0.0.1", "-p", port, "-n", 10000, "-c", 20, "-P", 4, "-d", 200,
                "-r", 10000, "--csv", "-t", "set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100"],
               timeout=60)
    rows = [row.split(",")[0] for row in done.out.splitlines()]
    told += f"\nbenchmark: {done.status} {rows} {done.err}".encode()
    told += talk(port, ["BGSAVE"])
    wait_for(lambda: b"rdb_bgsave_in_progress:0" in talk(port, ["INFO persistence"]), "BGSAVE", server)
    info = talk(port, ["INFO persistence"])
    told += re.search(rb"rdb_last_bgsave_status:\w+", info).group(0)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(b"SHUTDOWN NOSAVE\r\n")
        told += s.recv(100)  # nothing: the server just ends
    return told


def command(port, folder):
    return [SERVER, "--bind", "127.0.0.1", "--port", str(port), "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--enable-debug-command", "local",
            "--dbfilename", "dump.rdb", "--always-show-logo", "no", "--loglevel", "notice"]


def normalize(log):
    """Process ids, times, ports and memory figures differ between any two runs."""
    log = re.sub(rb"(?m)^\d+:([MCXS]) \d+ \w+ \d+ [\d:.]+ ", rb"PID:\1 ", log)
    log = re.sub(rb"(?i)pid[:= ]+\d+|port=\d+|\d+ MB of memory[^\n]*|[\d.]+ seconds|\d+ bytes", b"N", log)
    return re.sub(rb"(?m)^.*(Fork CoW|RDB age|RDB memory usage|background saving).*\n", b"", log, flags=re.I)


compare_server("redis-server under redis-benchmark", command, drive, normalize=normalize,
               ignore=["dump.rdb"])  # it holds the time and the memory in use; DEBUG DIGEST told all
