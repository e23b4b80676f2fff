#!/usr/bin/env python3
# gcc: a real file of this tree to assembly, as the driver with its children and as cc1 alone.
import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/victims")
from run_victim import *

GCC = shutil.which("gcc")
CC1 = subprocess.run([GCC, "-print-prog-name=cc1"], stdout=subprocess.PIPE, text=True,
                     check=True).stdout.strip()
SOURCE = max(glob.glob(SRC + "/common/*.c"), key=os.path.getsize)
FLAGS = ["-O2", "-g0", "-I" + SRC, "-D_GNU_SOURCE", '-DPERFSHIM_VERSION="test"', SOURCE]



def preprocess(folder):
    subprocess.run([GCC, "-E", *FLAGS, "-o", folder + "/a.i"], check=True)


compare("gcc -S", [GCC, "-S", *FLAGS, "-o", "a.s"], children=True)
compare("gcc -c -pipe", [GCC, "-c", "-pipe", *FLAGS, "-o", "a.o"], children=True)
compare("cc1 -O2", [CC1, "-quiet", "-fpreprocessed", "-O2", "a.i", "-o", "a.s"], prepare=preprocess)
compare("gcc with an error", [GCC, "-xc", "-", "-o", "a"], input="int main(void) { return x; }\n",
        status=1, children=True)
