/*
 * cxx_alloc — a C++ program that knows what it allocated.
 *
 * Every form of new and delete, containers, strings, exceptions and thread_local objects, each in a
 * function of its own. Prints {"function": {"calls", "bytes", "frees"}} as JSON: what the function
 * and what it called allocated, and what of that was freed. Sizes are those of the Itanium C++ ABI
 * and of libstdc++: an array of objects with destructors has a cookie of 8 bytes; a map node is its
 * value and four words; a thrown object stands behind a header of 128 bytes.
 */
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#define SITE __attribute__((noinline, noipa))

namespace
{

struct expectation {
    const char *function;
    unsigned long calls, bytes, frees;
};
expectation expected[32];
unsigned expected_count;

void expect(const char *function, unsigned long calls, unsigned long bytes, unsigned long frees)
{
    expected[expected_count++] = {function, calls, bytes, frees};
}

volatile unsigned sink;

struct plain {
    int a[5];
};

struct with_destructor {
    int a[3];
    ~with_destructor()
    {
        sink = sink + a[0];
    }
};

struct alignas(128) wide {
    char c[128];
};

struct polymorphic {
    virtual ~polymorphic() = default;
    virtual int value() const
    {
        return 1;
    }
};
struct derived : polymorphic {
    long more[4] = {1, 2, 3, 4};
    int value() const override
    {
        return static_cast<int>(more[1]);
    }
};

} // namespace

SITE void new_single()
{
    for (int i = 0; i < 1000; i++) {
        plain *volatile p = new plain;
        delete p;
    }
}

SITE void new_array()
{
    for (int i = 1; i <= 100; i++) {
        int *volatile p = new int[static_cast<size_t>(i)];
        delete[] p;
    }
}

SITE void new_array_with_cookie()
{
    for (int i = 1; i <= 100; i++) {
        with_destructor *volatile p = new with_destructor[static_cast<size_t>(i)]();
        delete[] p;
    }
}

SITE void new_nothrow()
{
    for (int i = 0; i < 50; i++) {
        int *volatile p = new (std::nothrow) int[64];
        delete[] p;
    }
    volatile size_t huge = static_cast<size_t>(-1) / 16;
    char *volatile none = new (std::nothrow) char[huge]; /* throws and catches inside */
    if (none)
        _exit(3);
}

SITE void new_aligned()
{
    for (int i = 0; i < 200; i++) {
        wide *volatile p = new wide;
        if (reinterpret_cast<uintptr_t>(p) % 128)
            _exit(3);
        delete p;
        wide *volatile q = new wide[3];
        delete[] q;
    }
}

SITE void new_kept()
{
    for (int i = 0; i < 10; i++) {
        void *volatile kept = ::operator new(100);
        sink = sink + (kept != nullptr);
    }
}

SITE void delete_forms()
{
    for (int i = 0; i < 100; i++) {
        void *volatile a = ::operator new(40);
        ::operator delete(a);
        void *volatile b = ::operator new(40);
        ::operator delete(b, static_cast<size_t>(40));
        void *volatile c = ::operator new[](40);
        ::operator delete[](c, static_cast<size_t>(40));
        void *volatile d = ::operator new(256, std::align_val_t(64));
        ::operator delete(d, static_cast<size_t>(256), std::align_val_t(64));
    }
}

SITE void virtual_delete()
{
    for (int i = 0; i < 300; i++) {
        std::unique_ptr<polymorphic> p(i % 2 ? new derived : new polymorphic);
        sink = sink + static_cast<unsigned>(p->value());
    }
}

SITE void vector_growth()
{
    std::vector<int> v; /* 1, 2, 4, … 1024 ints */
    for (int i = 0; i < 1000; i++)
        v.push_back(i);
    sink = sink + static_cast<unsigned>(v[999]);
}

SITE void long_strings()
{
    for (size_t i = 0; i < 500; i++) {
        std::string s(16 + i, 'x'); /* too long to stand in the object */
        sink = sink + static_cast<unsigned>(s[i]);
    }
}

SITE void short_strings()
{
    for (size_t i = 0; i < 500; i++) {
        std::string s(i % 16, 'x'); /* stands in the object */
        sink = sink + static_cast<unsigned>(s.size());
    }
}

SITE void map_nodes()
{
    std::map<int, int> m;
    for (int i = 0; i < 400; i++)
        m[i * 7 % 400] = i;
    sink = sink + static_cast<unsigned>(m[3]);
}

SITE void thrower(int depth)
{
    with_destructor on_the_way = {{depth, 0, 0}};
    if (depth)
        thrower(depth - 1);
    else
        throw 42;
    sink = sink + static_cast<unsigned>(on_the_way.a[1]);
}

SITE void exceptions()
{
    for (int i = 0; i < 200; i++) {
        try {
            thrower(i % 20);
        } catch (int n) {
            sink = sink + static_cast<unsigned>(n);
        }
    }
}

SITE void bad_alloc()
{
    volatile size_t huge = static_cast<size_t>(-1) / 16;
    for (int i = 0; i < 20; i++) {
        try {
            char *volatile p = new char[huge];
            delete[] p;
            _exit(3);
        } catch (const std::bad_alloc &) {
            sink = sink + 1;
        }
    }
}

namespace
{
struct per_thread {
    std::string text = std::string(100, 't');
    ~per_thread();
};
thread_local per_thread mine;
} // namespace

/* 101 bytes for the string, allocated here; its free stands to its account. */
SITE void thread_local_use()
{
    sink = sink + static_cast<unsigned>(mine.text[5]);
}

/* Allocates while the thread dies. */
SITE void thread_local_destroy()
{
    for (int i = 0; i < 10; i++) {
        int *volatile p = new int[20];
        delete[] p;
    }
}

namespace
{
per_thread::~per_thread()
{
    thread_local_destroy();
}

void print_expected()
{
    char text[4096];
    int n = 0;
    for (unsigned i = 0; i < expected_count; i++)
        n +=
            snprintf(text + n, sizeof text - static_cast<size_t>(n),
                     "%s\"%s\":{\"calls\":%lu,\"bytes\":%lu,\"frees\":%lu}", i ? ",\n" : "{",
                     expected[i].function, expected[i].calls, expected[i].bytes, expected[i].frees);
    n += snprintf(text + n, sizeof text - static_cast<size_t>(n), "}\n");
    if (write(STDOUT_FILENO, text, static_cast<size_t>(n)) != n)
        _exit(3);
}
} // namespace

int main()
{
    new_single();
    expect("new_single", 1000, 1000 * sizeof(plain), 1000);
    new_array();
    expect("new_array", 100, 4 * 5050, 100);
    new_array_with_cookie();
    expect("new_array_with_cookie", 100, 100 * 8 + 5050 * sizeof(with_destructor), 100);
    new_nothrow();
    expect("new_nothrow", 51, 50 * 256 + 128 + sizeof(std::bad_alloc), 51);
    new_aligned();
    expect("new_aligned", 400, 200 * 128 + 200 * 384, 400);
    new_kept();
    expect("new_kept", 10, 1000, 0);
    delete_forms();
    expect("delete_forms", 400, 100 * (3 * 40 + 256), 400);
    virtual_delete();
    expect("virtual_delete", 300, 150 * sizeof(polymorphic) + 150 * sizeof(derived), 300);
    vector_growth();
    expect("vector_growth", 11, 4 * 2047, 11);
    long_strings();
    expect("long_strings", 500, 500 * 17 + 499 * 500 / 2, 500);
    short_strings();
    expect("short_strings", 0, 0, 0);
    map_nodes();
    expect("map_nodes", 400, 400 * (4 * sizeof(void *) + 2 * sizeof(int)), 400);
    exceptions();
    expect("exceptions", 200, 200 * (128 + sizeof(int)), 200);
    bad_alloc();
    expect("bad_alloc", 20, 20 * (128 + sizeof(std::bad_alloc)), 20);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++)
        threads.emplace_back(thread_local_use);
    for (std::thread &t : threads)
        t.join();
    expect("thread_local_destroy", 80, 80 * 80, 80);
    print_expected();
    return 0;
}
