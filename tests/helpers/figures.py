"""What the truth and shim tests ask of a report, beside tests/lib.py:

    sys.path.insert(0, os.environ["SRC"] + "/tests/helpers")
    from figures import *

function(document, name)        the function's entry, or None (C++: by the name before the `(`)
flat(document, name, key)       its flat count, 0 if the function or the figure is not there
cum(document, name, key)
limited(limits, argv, profile)  preload() under limits of prlimit(1), e.g. "--nofile=4"
sample(name), helper(name)      paths of built programs
ALLOCATORS                      name -> library ("" = the C library's own); ./setup installs them
behind(name), alone(name)       the LD_PRELOAD of a program over it, with the shim first and without
profiles(folder)                the *.pshim* files in it, sorted
rusage(argv, env)               runs argv: its CPU time in ns and its exit status as a shell tells it
"""

import os
import resource
import subprocess

from lib import B, SHIM, clean_env, run

__all__ = ["function", "flat", "cum", "limited", "sample", "helper", "profiles", "rusage",
           "ALLOCATORS", "behind", "alone"]


def sample(name):
    return os.path.join(B, "samples", name)


def helper(name):
    return os.path.join(B, "helpers", name)


_LIB = "/usr/lib/x86_64-linux-gnu/"
ALLOCATORS = {"glibc": "", "jemalloc": _LIB + "libjemalloc.so.2",
              "tcmalloc": _LIB + "libtcmalloc_minimal.so.4", "mimalloc": _LIB + "libmimalloc.so.2"}


def behind(name):
    return {"LD_PRELOAD": f"{SHIM}:{ALLOCATORS[name]}".rstrip(":")}


def alone(name):
    return {"LD_PRELOAD": ALLOCATORS[name]}


def function(document, name):
    found = [f for f in document["functions"]
             if f["name"].replace("(anonymous namespace)::", "").split("(")[0] == name]
    if len(found) > 1:
        raise SystemExit(f"{len(found)} functions are called {name}")
    return found[0] if found else None


def _figure(document, name, key, which):
    entry = function(document, name)
    value = entry.get(key) if entry else None
    return value[which] if value else 0


def flat(document, name, key):
    return _figure(document, name, key, "flat")


def cum(document, name, key):
    return _figure(document, name, key, "cum")


def limited(limits, argv, profile, env=None, **options):
    """The limits hold for the program alone: prlimit and env are not preloaded."""
    settings = {"LD_PRELOAD": SHIM, "PERFSHIM_OUT": os.path.abspath(profile), **(env or {})}
    words = [f"{key}={value}" for key, value in settings.items()]
    return run(["prlimit", *limits, "env", *words, *argv], env=clean_env(), **options)


def profiles(folder="."):
    return sorted(name for name in os.listdir(folder) if ".pshim" in name)


def rusage(argv, env=None, **options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(a) for a in argv], env=env, capture_output=True, timeout=60,
                          check=False, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return int(used * 1e9), status, done
