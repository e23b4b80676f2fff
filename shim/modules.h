/*
 * Code modules: from a pc to its record in the file.
 *
 * Lock-free and async-signal-safe. A module is recorded when a stack first runs through it, so that
 * neither dlopen nor the loader's lock is involved.
 */
#ifndef PERFSHIM_SHIM_MODULES_H
#define PERFSHIM_SHIM_MODULES_H

#include <stdint.h>

/* Module id of pc and its offset in that module (PSHIM_MODULE_ANON and pc itself when in none). */
uint32_t modules_locate(uintptr_t pc, uint64_t *offset);

/* Modules are about to change (dlclose): forget what was looked up. */
void modules_changed(void);

/* Moves with each modules_changed(). Not to be touched but by the functions here. */
extern uint32_t modules_generation_now __attribute__((visibility("hidden"))); /* atomic, ≥ 1 */
static inline uint32_t modules_generation(void)
{
    return __atomic_load_n(&modules_generation_now, __ATOMIC_ACQUIRE);
}

#endif
