/* build: -O0 */
/*
 * cxx_locks — a C++ program that knows how often each of its mutexes is taken, and where.
 *
 * std::mutex and its kin under lock_guard, unique_lock, scoped_lock and a condition variable, on
 * several threads, each mutex in a function of its own. Not optimised: the calls of the C++ runtime
 * that lie between stay on the stack. Prints {"mutex": acquisitions} as JSON. A mutex that is
 * recursively taken counts once.
 */
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

static std::mutex guarded, scoped, turns;
static std::timed_mutex timed;
static std::recursive_mutex nested;
static std::recursive_timed_mutex tried;
static std::condition_variable changed;
static std::atomic<long> n_guarded, n_scoped, n_turns, n_timed, n_nested, n_tried;

enum { THREADS = 4, ROUNDS = 500 };
static int turn;

static void take_guarded()
{
    std::lock_guard<std::mutex> hold(guarded);
    n_guarded++;
}

static void take_scoped()
{
    std::scoped_lock<std::mutex> hold(scoped);
    n_scoped++;
}

static void take_timed()
{
    std::unique_lock<std::timed_mutex> hold(timed, std::chrono::seconds(10));
    n_timed += hold.owns_lock();
}

static void take_nested()
{
    std::unique_lock<std::recursive_mutex> hold(nested);
    std::lock_guard<std::recursive_mutex> again(nested);
    n_nested++;
}

static void take_tried()
{
    if (!tried.try_lock())
        return;
    n_tried++;
    tried.unlock();
}

/* Each wait takes the mutex once more. */
static void take_turns(int me)
{
    std::unique_lock<std::mutex> hold(turns);
    n_turns++;
    while (turn % THREADS != me) {
        changed.wait(hold);
        n_turns++;
    }
    turn++;
    changed.notify_all();
}

static void take_all(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        take_guarded();
        take_scoped();
        take_timed();
        take_nested();
        take_tried();
        if (i % 10 == 0)
            take_turns(me);
    }
}

int main()
{
    std::vector<std::thread> threads;
    for (int i = 0; i < THREADS; i++)
        threads.emplace_back(take_all, i);
    for (std::thread &t : threads)
        t.join();
    std::printf("{\"guarded\": %ld, \"scoped\": %ld, \"timed\": %ld, \"nested\": %ld, "
                "\"tried\": %ld, \"turns\": %ld}\n",
                n_guarded.load(), n_scoped.load(), n_timed.load(), n_nested.load(), n_tried.load(),
                n_turns.load());
    return 0;
}
