/* The allocation hooks, as other parts of the shim see them. */
#ifndef PERFSHIM_SHIM_HOOK_MALLOC_H
#define PERFSHIM_SHIM_HOOK_MALLOC_H

/* The address of our own malloc, whatever that name is bound to in this process. */
void *hook_malloc_address(void);

#endif
