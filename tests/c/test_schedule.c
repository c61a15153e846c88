/* When ticks are due: the mean is the interval, and shares are the program's, whatever delays the ticks. The source is played
 * here: one that goes on with its period by itself until it is given another, as a perf event does. */
#include "core/schedule.h"

#include <math.h>
#include <stdbool.h>

#include "check.h"

/* A program that runs in cycles: `deaf_ns` with signals blocked, then `open_ns` in which they are delivered. */
struct program {
    uint64_t deaf_ns, open_ns;
};

/* What was seen of it: ticks that landed at the end of the deaf part, and those in the open one. */
struct seen {
    uint64_t deaf, open, early, sets, signals;
};

static uint64_t delivered_at(const struct program *p, uint64_t ns)
{
    uint64_t cycle = p->deaf_ns + p->open_ns, at = ns % cycle;
    return at < p->deaf_ns ? ns + p->deaf_ns - at : ns;
}

/* Plays `total_ns` of CPU time. From the interrupt to the handler it takes `way_ns`, and from there to the new period in force
 * `set_ns`; meanwhile the source goes on as it was told before. */
static struct seen play(const struct program *p, uint64_t interval_ns, uint64_t seed, uint64_t total_ns, uint64_t way_ns,
                        uint64_t set_ns)
{
    struct sp_schedule schedule;
    struct seen seen = {0};
    uint64_t period = sp_schedule_start(&schedule, interval_ns, seed, 0);
    CHECK(period >= 1 && period <= interval_ns);
    uint64_t fire = period, handled = 0, on_its_way = 0;
    while (fire < total_ns) {
        uint64_t sent = on_its_way > 0 ? on_its_way : fire;
        uint64_t now = delivered_at(p, (sent < handled ? handled : sent) + way_ns); /* blocked in its own handler */
        while (on_its_way == 0 && fire <= now) {
            fire += period; /* merged: one signal is pending at most */
        }
        on_its_way = 0;
        uint64_t set;
        uint32_t ticks = sp_schedule_tick(&schedule, now, 0, &set);
        seen.signals++;
        seen.early += ticks == 0;
        *(now % (p->deaf_ns + p->open_ns) == p->deaf_ns ? &seen.deaf : &seen.open) += ticks;
        handled = now + set_ns;
        if (set > 0) {
            CHECK(set >= SP_SHORTEST_PERIOD_NS);
            seen.sets++;
            on_its_way = fire <= handled ? fire : 0; /* before the new period was in force */
            fire = handled + set;
            period = set;
        }
    }
    return seen;
}

static void check_shares(const struct program *p, uint64_t interval_ns, uint64_t way_ns, uint64_t set_ns)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t n = 20000;
        struct seen seen = play(p, interval_ns, seed * 0x9e3779b97f4a7c15u, n * interval_ns, way_ns, set_ns);
        double ticks = (double)(seen.deaf + seen.open), truth = (double)p->deaf_ns / (double)(p->deaf_ns + p->open_ns);
        double share = (double)seen.deaf / ticks, sigma = sqrt(truth * (1 - truth) / (double)n);
        /* a jittered step has a standard deviation of 0.144 intervals */
        CHECK(fabs(ticks - (double)n) < 1 + 4 * 0.144 * sqrt((double)n * SP_JITTER_EVERY));
        if (fabs(share - truth) > 4.5 * sigma + (double)way_ns / (double)interval_ns) {
            printf("interval %llu, deaf %llu, open %llu, seed %llu: share %.4f for %.4f\n", (unsigned long long)interval_ns,
                   (unsigned long long)p->deaf_ns, (unsigned long long)p->open_ns, (unsigned long long)seed, share, truth);
            CHECK(false);
        }
    }
}

static void test_shares_survive_delays(void)
{
    static const uint64_t intervals[] = {100000, 1000000, 4999999, 5000000, 10000000};
    static const double cycles[][2] = {{0.6, 0.7}, {0.83, 0.5}, {0.5, 0.5}, {1.6, 0.5},
                                       {3.3, 1.7}, {0.1, 0.05}, {7.3, 0.2}, {0.2, 9}};
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        for (size_t c = 0; c < sizeof cycles / sizeof *cycles; c++) {
            struct program p = {(uint64_t)(cycles[c][0] * (double)intervals[i]), (uint64_t)(cycles[c][1] * (double)intervals[i])};
            check_shares(&p, intervals[i], 0, 0);
            check_shares(&p, intervals[i], 500, 1500);
            check_shares(&p, intervals[i], intervals[i] / 50, 1500);
        }
    }
}

/* Delays of all lengths up to several intervals, which have nothing to do with the ticks: each tick is counted once. */
static void test_no_tick_is_lost_or_made(void)
{
    struct sp_schedule schedule;
    uint64_t random = 7, set, interval = 1000000, ticks = 0, now = 0;
    uint64_t period = sp_schedule_start(&schedule, interval, 3, 0), fire = period;
    while (now < 100000 * interval) {
        now = fire + sp_random(&random) % (3 * interval);
        while (fire <= now) {
            fire += period;
        }
        ticks += sp_schedule_tick(&schedule, now, 0, &set);
        CHECK(schedule.due_ns + interval / 4 > now); /* nothing is owed but what the source may be early */
        if (set > 0) {
            period = set;
            fire = now + period;
        }
    }
    double expected = (double)now / (double)interval;
    CHECK(fabs((double)ticks - expected) < 4 * 0.144 * sqrt(expected * SP_JITTER_EVERY));
}

static void test_a_tick_before_its_time_is_none(void)
{
    struct sp_schedule schedule;
    uint64_t set, first = sp_schedule_start(&schedule, 10000000, 1, 5000);
    CHECK_EQ(schedule.due_ns, 5000 + first);
    CHECK_EQ(sp_schedule_tick(&schedule, schedule.due_ns + 20000, 0, &set), 1);
    CHECK(set >= 7500000 && set <= 12500000);
    uint64_t due = schedule.due_ns;
    CHECK_EQ(sp_schedule_tick(&schedule, due - 7000000, 0, &set), 0);
    CHECK_EQ(set, 7000000);
    CHECK_EQ(schedule.due_ns, due);
    CHECK_EQ(sp_schedule_tick(&schedule, due - 1000, 0, &set), 1); /* two clocks never agree to the nanosecond */
}

static void test_the_period_stays_where_setting_it_costs(void)
{
    struct program p = {0, 1000000};
    struct seen fast = play(&p, 1000000, 1, 8000000000, 500, 1500);
    CHECK(fast.signals >= 3 * fast.sets); /* one for each pace, and another where delays have added up */
    struct seen slow = play(&p, 10000000, 1, 8000000000, 500, 1500);
    CHECK_EQ(slow.sets, slow.signals);
}

static void test_put_off_and_made_up_for(void)
{
    struct sp_schedule schedule;
    uint64_t set, interval = 100000, now = sp_schedule_start(&schedule, interval, 9, 0), ticks = 0;
    for (int i = 0; i < 20000; i++) {
        ticks += sp_schedule_tick(&schedule, now, 450000, &set);
        CHECK_EQ(set, 450000);
        now += 450000 + 30000;
    }
    double expected = (double)now / (double)interval;
    CHECK(fabs((double)ticks - expected) < 5 + 4 * 0.144 * sqrt(20000.0));
}

static void test_what_is_left(void)
{
    struct sp_schedule schedule;
    uint64_t set;
    sp_schedule_start(&schedule, 1000000, 5, 0);
    schedule.due_ns = 900000;
    CHECK_EQ(sp_schedule_left(&schedule, 300000), 600000);
    CHECK_EQ(sp_schedule_left(&schedule, 899999), SP_SHORTEST_PERIOD_NS);
    CHECK_EQ(sp_schedule_left(&schedule, 5000000), SP_SHORTEST_PERIOD_NS);
    CHECK_EQ(sp_schedule_tick(&schedule, 5000000, 0, &set), 5); /* stopped for long: the CPU clock tells */
    CHECK_EQ(sp_schedule_tick(&schedule, UINT64_MAX / 2, 0, &set), UINT32_MAX);
}

int main(void)
{
    RUN(test_shares_survive_delays);
    RUN(test_no_tick_is_lost_or_made);
    RUN(test_a_tick_before_its_time_is_none);
    RUN(test_the_period_stays_where_setting_it_costs);
    RUN(test_put_off_and_made_up_for);
    RUN(test_what_is_left);
    return check_report();
}
