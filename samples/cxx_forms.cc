/*
 * cxx_forms — every form of operator new and delete, at sizes around those that allocators round
 * to, and the frees of jemalloc on blocks of malloc. Blocks are filled, kept for a while, and
 * checked. Prints {"function": {"calls", "bytes", "malloc_bytes", "frees"}} as JSON, and under
 * "found" which of jemalloc's functions the program sees. malloc_bytes is what libstdc++ asks of
 * malloc: 1 for 0, and a multiple of the alignment. Ends with status 3 if a block is not what it
 * should be.
 *
 *   cxx_forms [small]     small: without allocations that fail
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <new>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noipa))

extern "C" {
__attribute__((weak)) void *mallocx(size_t, int);
__attribute__((weak)) void sdallocx(void *, size_t, int);
__attribute__((weak)) void dallocx(void *, int);
}

namespace
{

constexpr size_t kept = 64;    /* blocks that live at once */
constexpr size_t sizes = 1200; /* 0, 1, … 599, then larger ones */

struct block {
    unsigned char *p;
    size_t n;
};
block ring[kept];

size_t size_of(size_t i)
{
    return i < 600 ? i : (i - 599) * 47;
}

void block_fill(block &b, void *p, size_t n)
{
    if (!p)
        _exit(3);
    memset(p, static_cast<int>(n * 7 + 1), n);
    b = {static_cast<unsigned char *>(p), n};
}

void block_verify(const block &b)
{
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] != static_cast<unsigned char>(b.n * 7 + 1))
            _exit(3);
}

/* Each size once: a block is checked and freed when its place in the ring is needed again. */
template <typename New, typename Delete> inline void turn(New get, Delete give)
{
    for (size_t i = 0; i < sizes; i++) {
        block &b = ring[i % kept];
        if (b.p) {
            block_verify(b);
            give(b.p, b.n);
        }
        block_fill(b, get(size_of(i)), size_of(i));
    }
    for (block &b : ring) {
        block_verify(b);
        give(b.p, b.n);
        b.p = nullptr;
    }
}

using align = std::align_val_t;

template <size_t Align> void *aligned(void *p)
{
    if (reinterpret_cast<uintptr_t>(p) % Align)
        _exit(3);
    return p;
}

} // namespace

SITE void single_unsized()
{
    turn([](size_t n) { return ::operator new(n); }, [](void *p, size_t) { ::operator delete(p); });
}

SITE void single_sized()
{
    turn([](size_t n) { return ::operator new(n); },
         [](void *p, size_t n) { ::operator delete(p, n); });
}

SITE void array_unsized()
{
    turn([](size_t n) { return ::operator new[](n); },
         [](void *p, size_t) { ::operator delete[](p); });
}

SITE void array_sized()
{
    turn([](size_t n) { return ::operator new[](n); },
         [](void *p, size_t n) { ::operator delete[](p, n); });
}

SITE void single_nothrow()
{
    turn([](size_t n) { return ::operator new(n, std::nothrow); },
         [](void *p, size_t) { ::operator delete(p, std::nothrow); });
}

SITE void array_nothrow()
{
    turn([](size_t n) { return ::operator new[](n, std::nothrow); },
         [](void *p, size_t) { ::operator delete[](p, std::nothrow); });
}

SITE void single_aligned()
{
    turn([](size_t n) { return aligned<64>(::operator new(n, align(64))); },
         [](void *p, size_t) { ::operator delete(p, align(64)); });
}

/* Size 0 is not told: jemalloc 5.3's aligned sized delete takes it for another class than new. */
SITE void single_aligned_sized()
{
    turn([](size_t n) { return aligned<32>(::operator new(n, align(32))); },
         [](void *p, size_t n) {
             if (n)
                 ::operator delete(p, n, align(32));
             else
                 ::operator delete(p, align(32));
         });
}

SITE void array_aligned()
{
    turn([](size_t n) { return aligned<4096>(::operator new[](n, align(4096))); },
         [](void *p, size_t) { ::operator delete[](p, align(4096)); });
}

SITE void array_aligned_sized()
{
    turn([](size_t n) { return aligned<128>(::operator new[](n, align(128))); },
         [](void *p, size_t n) {
             if (n)
                 ::operator delete[](p, n, align(128));
             else
                 ::operator delete[](p, align(128));
         });
}

SITE void single_aligned_nothrow()
{
    turn([](size_t n) { return aligned<128>(::operator new(n, align(128), std::nothrow)); },
         [](void *p, size_t) { ::operator delete(p, align(128), std::nothrow); });
}

SITE void array_aligned_nothrow()
{
    turn([](size_t n) { return aligned<64>(::operator new[](n, align(64), std::nothrow)); },
         [](void *p, size_t) { ::operator delete[](p, align(64), std::nothrow); });
}

/* What libraries do that know jemalloc. */
SITE void malloc_sdallocx()
{
    turn([](size_t n) { return malloc(n); },
         [](void *p, size_t n) {
             if (sdallocx && n)
                 sdallocx(p, n, 0);
             else
                 free(p);
         });
}

SITE void malloc_dallocx()
{
    turn([](size_t n) { return malloc(n); },
         [](void *p, size_t) {
             if (dallocx)
                 dallocx(p, 0);
             else
                 free(p);
         });
}

/* A forked child frees what its parent allocated. */
SITE void freed_by_a_child()
{
    void *blocks[200];
    for (size_t i = 0; i < 200; i++)
        blocks[i] = ::operator new(i * 8);
    pid_t child = fork();
    for (size_t i = 0; i < 200; i++)
        ::operator delete(blocks[i], i * 8);
    if (child == 0) {
        for (int turns = 0; turns < 3; turns++) {
            for (size_t i = 0; i < 200; i++)
                blocks[i] = memset(::operator new(i * 8), 1, i * 8);
            for (size_t i = 0; i < 200; i++)
                ::operator delete(blocks[i], i * 8);
        }
        _exit(0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        _exit(3);
}

namespace
{
int handled;
void handler()
{
    if (++handled % 3 == 0)
        std::set_new_handler(nullptr);
}
} // namespace

/* Only what is thrown is allocated: a bad_alloc behind a header of 128 bytes. */
SITE void failing()
{
    volatile size_t huge = PTRDIFF_MAX / 2;
    for (int i = 0; i < 10; i++) {
        std::set_new_handler(handler);
        try {
            ::operator delete(::operator new(huge));
            _exit(3);
        } catch (const std::bad_alloc &) {
        }
        try {
            ::operator delete[](::operator new[](huge));
            _exit(3);
        } catch (const std::bad_alloc &) {
        }
        try {
            ::operator delete(::operator new(huge, align(64)), align(64));
            _exit(3);
        } catch (const std::bad_alloc &) {
        }
    }
    if (handled != 30)
        _exit(3);
}

/* libstdc++ throws and catches inside, others do not: how much that allocates is not told. */
SITE void failing_nothrow()
{
    volatile size_t huge = PTRDIFF_MAX / 2;
    if (::operator new(huge, std::nothrow) || ::operator new[](huge, std::nothrow) ||
        ::operator new(huge, align(64), std::nothrow) ||
        ::operator new[](huge, align(64), std::nothrow))
        _exit(3);
}

namespace
{
size_t malloc_bytes_of(size_t n, size_t align)
{
    if (align == 0)
        return n;
    return ((n ? n : 1) + align - 1) / align * align;
}

void truth_print(const char *name, size_t calls, size_t bytes, size_t malloc_bytes)
{
    printf("\"%s\":{\"calls\":%zu,\"bytes\":%zu,\"malloc_bytes\":%zu,\"frees\":%zu},\n", name,
           calls, bytes, malloc_bytes, calls);
}
} // namespace

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)();
        size_t align; /* 0: not of operator new */
    } turns[] = {
#define TURN(name, align) {#name, name, align}
        TURN(single_unsized, 1),
        TURN(single_sized, 1),
        TURN(array_unsized, 1),
        TURN(array_sized, 1),
        TURN(single_nothrow, 1),
        TURN(array_nothrow, 1),
        TURN(single_aligned, 64),
        TURN(single_aligned_sized, 32),
        TURN(array_aligned, 4096),
        TURN(array_aligned_sized, 128),
        TURN(single_aligned_nothrow, 128),
        TURN(array_aligned_nothrow, 64),
        TURN(malloc_sdallocx, 0),
        TURN(malloc_dallocx, 0),
    };
    bool small = argc > 1 && strcmp(argv[1], "small") == 0;
    for (const auto &t : turns)
        t.run();
    freed_by_a_child();
    if (!small) {
        failing();
        failing_nothrow();
    }
    putchar('{');
    for (const auto &t : turns) {
        size_t bytes = 0, malloc_bytes = 0;
        for (size_t i = 0; i < sizes; i++) {
            bytes += size_of(i);
            malloc_bytes += malloc_bytes_of(size_of(i), t.align);
        }
        truth_print(t.name, sizes, bytes, malloc_bytes);
    }
    truth_print("freed_by_a_child", 200, 199 * 200 / 2 * 8, 1 + 199 * 200 / 2 * 8);
    if (!small)
        truth_print("failing", 30, 30 * (128 + sizeof(std::bad_alloc)),
                    30 * (128 + sizeof(std::bad_alloc)));
    printf("\"found\":{\"mallocx\":%d,\"mallocx by name\":%d,\"sdallocx by name\":%d}}\n",
           mallocx != nullptr, dlsym(RTLD_DEFAULT, "mallocx") != nullptr,
           dlsym(RTLD_DEFAULT, "sdallocx") != nullptr);
    return 0;
}
