/*
 * exits STATUS       — exits with it
 * exits signal N     — raises it
 * exits catch        — says "ready", waits, and exits with 7 after SIGINT or SIGTERM
 * exits wait         — says "ready", waits
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void leave(int number)
{
    (void)number;
    _exit(7);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "signal")) {
        raise(atoi(argv[2]));
        return 3;
    }
    if (argc != 2)
        return 2;
    if (!strcmp(argv[1], "catch")) {
        signal(SIGINT, leave);
        signal(SIGTERM, leave);
    } else if (strcmp(argv[1], "wait")) {
        return atoi(argv[1]);
    }
    if (write(STDOUT_FILENO, "ready\n", 6) != 6)
        return 3;
    for (;;)
        pause();
}
