/* build: -shared -fPIC */
/* A library that somebody else preloads: it does nothing, and must stay in LD_PRELOAD. */
int quiet_lib_present(void);

int quiet_lib_present(void)
{
    return 1;
}
