/*
 * A program that asks for seccomp says which system calls it may make from then on, and ours are
 * not among them: a filter would kill it for one. So recording ends before that, for good, and the
 * profile says why. The program goes on as if we were not there.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "profile/sys.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/shim.h"

int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
EXPORT int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    real_resolve();
    /* A filter that is nowhere is a question whether filters are there. */
    if (option == PR_SET_SECCOMP && (a != SECCOMP_MODE_FILTER || b))
        process_turn_off(PSHIM_OFF_SECCOMP);
    if (real.prctl)
        return real.prctl(option, a, b, c, d);
    long result = sys_call6(SYS_prctl, option, (long)a, (long)b, (long)c, (long)d, 0);
    if (result >= 0)
        return (int)result;
    errno = (int)-result;
    return -1;
}
