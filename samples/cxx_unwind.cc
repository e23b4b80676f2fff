/*
 * cxx_unwind — stacks that are hard to walk, for comparing one unwinder with another.
 *
 * Deep templates, virtual calls, lambdas in std::function, std::sort with a comparator, alloca,
 * over-aligned frames (which realign their stack), and exceptions through frames with destructors,
 * on two threads, allocating everywhere. Prints a checksum: the same on every run, and whoever
 * watches.
 */
#include <algorithm>
#include <alloca.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define SITE __attribute__((noinline))

namespace
{

struct random_source {
    uint64_t state;
    uint64_t operator()()
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
    }
};

/* A frame a level, each with a destructor that an exception has to run. */
template <int N> struct tower {
    static SITE uint64_t climb(random_source &random, unsigned throw_at)
    {
        std::vector<uint64_t> v(1 + static_cast<size_t>(N) % 7, random());
        if (throw_at == N)
            throw std::runtime_error("level " + std::to_string(N));
        uint64_t above = tower<N - 1>::climb(random, throw_at);
        return std::accumulate(v.begin(), v.end(), above * 31);
    }
};
template <> struct tower<0> {
    static SITE uint64_t climb(random_source &random, unsigned)
    {
        auto p = std::make_unique<uint64_t>(random());
        return *p;
    }
};

struct shape {
    virtual ~shape() = default;
    virtual uint64_t area(random_source &random, int depth) const = 0;
};
struct square : shape {
    std::string name = std::string(20, 's');
    uint64_t area(random_source &random, int depth) const override;
};
struct group : shape {
    std::vector<std::unique_ptr<shape>> parts;
    uint64_t area(random_source &random, int depth) const override;
};

SITE std::unique_ptr<shape> shape_new(random_source &random, int depth)
{
    if (depth <= 0 || random() % 4 == 0)
        return std::make_unique<square>();
    auto g = std::make_unique<group>();
    for (unsigned i = 0; i < 3; i++)
        g->parts.push_back(shape_new(random, depth - 1));
    return g;
}

SITE uint64_t square::area(random_source &random, int depth) const
{
    std::string copy = name + std::to_string(depth);
    return copy.size() * (random() % 16);
}

SITE uint64_t group::area(random_source &random, int depth) const
{
    uint64_t sum = 0;
    for (const auto &part : parts)
        sum = sum * 3 + part->area(random, depth + 1);
    return sum;
}

/* A comparator that allocates: called from deep inside the sort. */
SITE uint64_t sort_strings(random_source &random)
{
    std::vector<std::string> words;
    for (int i = 0; i < 200; i++)
        words.push_back("key-" + std::to_string(random() % 100000) + "-of-a-long-word");
    std::sort(words.begin(), words.end(),
              [](const std::string &a, const std::string &b) { return a.substr(4) < b.substr(4); });
    std::stable_sort(words.begin(), words.end(), [](const std::string &a, const std::string &b) {
        return a.size() < b.size();
    });
    uint64_t sum = 0;
    for (const std::string &w : words)
        sum = sum * 131 + static_cast<unsigned char>(w[5]) + w.size();
    return sum;
}

SITE uint64_t call_functions(random_source &random)
{
    std::function<uint64_t(int)> f = [&random](int n) { return random() % 100 + (n > 0); };
    for (int i = 0; i < 20; i++) {
        std::string captured(30, static_cast<char>('a' + i));
        f = [f, captured](int n) { return f(n - 1) * 3 + captured.size(); };
    }
    return f(20);
}

/* A frame of variable size, and one that realigns its stack: the compiler keeps other registers. */
SITE uint64_t variable_frame(random_source &random, size_t n)
{
    unsigned char *room = static_cast<unsigned char *>(alloca(n));
    memset(room, static_cast<int>(random() & 255), n);
    std::string text(reinterpret_cast<char *>(room), n);
    return text.size() + static_cast<unsigned char>(text[n / 2]);
}

SITE uint64_t aligned_frame(random_source &random, size_t n)
{
    alignas(64) unsigned char block[256];
    memset(block, static_cast<int>(random() & 255), sizeof block);
    uint64_t sum = variable_frame(random, n + block[7]);
    std::map<int, std::string> m;
    for (int i = 0; i < 10; i++)
        m[block[i] + i] = std::string(24, 'm');
    return sum + m.size() + block[100];
}

SITE uint64_t throw_and_catch(random_source &random)
{
    uint64_t sum = 0;
    for (unsigned at = 0; at < 40; at += 3) {
        try {
            sum += tower<40>::climb(random, at);
        } catch (const std::runtime_error &e) {
            sum = sum * 7 + strlen(e.what());
            try {
                std::vector<int> v(3);
                sum += static_cast<uint64_t>(v.at(random() % 6));
            } catch (const std::out_of_range &) {
                sum += 5;
            }
        }
    }
    return sum;
}

uint64_t run(uint64_t seed, int rounds)
{
    random_source random{seed};
    uint64_t sum = 0;
    for (int i = 0; i < rounds; i++) {
        sum = sum * 1000003 + throw_and_catch(random);
        sum = sum * 1000003 + shape_new(random, 5)->area(random, 0);
        sum = sum * 1000003 + sort_strings(random);
        sum = sum * 1000003 + call_functions(random);
        sum = sum * 1000003 + aligned_frame(random, 50 + random() % 300);
    }
    return sum;
}

} // namespace

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    uint64_t other = 0;
    std::thread thread([&other, rounds] { other = run(12345, rounds); });
    uint64_t sum = run(6789, rounds);
    thread.join();
    printf("checksum %016llx\n", static_cast<unsigned long long>(sum ^ other * 3));
    return 0;
}
