/* build: -shared -fPIC */
/*
 * A plug-in with an operator new and delete of its own, which hand out parts of an arena. Loaded by
 * a program without C++, it must get its own: own_new_works() says whether it did.
 */
#include <stddef.h>

void *_Znwm(size_t n);
void _ZdlPv(void *p);
int own_new_works(void);

static char arena[4096];
static size_t used, given_back;

void *_Znwm(size_t n)
{
    void *p = arena + used;
    used += n;
    return p;
}

void _ZdlPv(void *p)
{
    given_back += (char *)p >= arena && (char *)p < arena + sizeof arena;
}

int own_new_works(void)
{
    char *p = _Znwm(16);
    _ZdlPv(p);
    return p >= arena && p < arena + sizeof arena && given_back == 1;
}
