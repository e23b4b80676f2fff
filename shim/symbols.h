/*
 * The symbols of the modules that the program was started with, read from their own tables.
 *
 * dlsym() would do for what is there. But of what is not it leaves an error, in memory from malloc,
 * which the thread's next dlsym() frees: a malloc of the host's that itself begins with dlsym()
 * does not survive that, and the host would find an error that is not its own.
 *
 * Only in the constructor, before other threads: the list of modules is walked without the loader's
 * lock. Nothing is allocated.
 */
#ifndef PERFSHIM_SHIM_SYMBOLS_H
#define PERFSHIM_SHIM_SYMBOLS_H

/*
 * The function of this name in the first module behind ours, in the order of the loader's list,
 * which is that of RTLD_NEXT until something is dlopened; NULL if there is none. Of a name with
 * several versions it is the default one.
 */
void *symbol_next(const char *name);

/*
 * From now on the loader finds our function of this name no more: its value in our own table of
 * symbols becomes 0, which means "not there" (glibc: elf/dl-lookup.c, check_match). What was bound
 * before stays bound. Without effect where the table cannot be written to.
 */
void symbol_hide(const char *name);

#endif
