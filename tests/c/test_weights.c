/* Weights: whatever the ticks did, a thread's weights and its lost part add up to its CPU time, to the nanosecond. */
#include "core/weights.h"

#include "check.h"
#include "core/limits.h"

/* What became of a thread's CPU time. */
struct bill {
    uint64_t sampled; /* dealt to samples */
    uint64_t lost;    /* of ticks that found no room */
    uint64_t idle;    /* of windows in which no tick landed */
    uint64_t cpu;     /* of all windows */
};

static const struct sp_window *window_at(const struct sp_windows *w, uint64_t i)
{
    return i < w->closed.len ? &((const struct sp_window *)w->closed.data)[i] : &w->open;
}

/* Deals out all samples, each worth what `ticks` says (NULL: one), and checks every window's own sum. */
static struct bill deal(const struct sp_windows *w, const uint32_t *ticks)
{
    struct sp_dealer dealer = {.windows = w};
    struct bill bill = {0};
    for (uint64_t i = 0; i <= w->closed.len; i++) {
        const struct sp_window *window = window_at(w, i);
        uint64_t weights = 0, lost = sp_window_lost_ns(window);
        for (uint64_t n = 0; n < window->samples; n++) {
            weights += sp_dealer_next(&dealer, ticks != NULL ? *ticks++ : 1);
        }
        if (window->ticks + window->lost_ticks > 0) {
            CHECK_EQ(weights + lost, window->cpu_ns);
        } else {
            CHECK_EQ(weights + lost, 0);
            bill.idle += window->cpu_ns;
        }
        bill.sampled += weights;
        bill.lost += lost;
        bill.cpu += window->cpu_ns;
    }
    CHECK_EQ(bill.sampled, dealer.sampled_ns);
    CHECK_EQ(bill.sampled + bill.lost + bill.idle, bill.cpu);
    return bill;
}

static struct sp_budget budget;

static void fresh(struct sp_windows *w, uint64_t time_ns, uint64_t cpu_ns)
{
    budget = (struct sp_budget){.limit = 1u << 24};
    sp_windows_start(w, time_ns, cpu_ns);
}

static void done(struct sp_windows *w)
{
    sp_windows_free(w, &budget);
    CHECK_EQ(budget.used, 0);
}

static void test_ticks_share_the_clock(void)
{
    struct sp_windows w;
    fresh(&w, 1000, 500);
    static const uint32_t ticks[] = {1, 2, 1};
    for (uint64_t i = 0; i < 3; i++) {
        sp_windows_sample(&w, &budget, 2000 + i, 600 + i, ticks[i]);
    }
    sp_windows_end(&w, &budget, 9000, 500 + 4000);
    struct sp_dealer dealer = {.windows = &w};
    CHECK_EQ(sp_dealer_next(&dealer, 1), 1000); /* not what passed on the clock before it */
    CHECK_EQ(sp_dealer_next(&dealer, 2), 2000);
    CHECK_EQ(sp_dealer_next(&dealer, 1), 1000);
    CHECK_EQ(sp_window_lost_ns(&w.open), 0);
    done(&w);
}

static void test_lost_ticks_weigh(void)
{
    struct sp_windows w;
    fresh(&w, 0, 0);
    sp_windows_sample(&w, &budget, 10, 10, 1);
    sp_windows_lost(&w, 2, 3);
    sp_windows_end(&w, &budget, 100, 1001);
    struct bill bill = deal(&w, NULL);
    CHECK_EQ(bill.sampled, 250); /* rounded down, and the remainder is not lost: */
    CHECK_EQ(bill.lost, 751);
    CHECK_EQ(w.open.lost_samples, 2);
    done(&w);
}

static void test_no_tick_at_all(void)
{
    struct sp_windows w;
    fresh(&w, 0, 7);
    sp_windows_end(&w, &budget, 100, 1007);
    struct bill bill = deal(&w, NULL);
    CHECK_EQ(bill.idle, 1000);
    CHECK_EQ(bill.sampled + bill.lost, 0);
    done(&w);
    fresh(&w, 0, 7);
    sp_windows_lost(&w, 1, 1);
    sp_windows_end(&w, &budget, 100, 1007);
    CHECK_EQ(deal(&w, NULL).lost, 1000);
    done(&w);
}

/* A window closes when it is both long and rich enough: a second of rare ticks is not a sample of anything. */
static void test_a_window_is_long_and_rich(void)
{
    struct sp_windows w;
    fresh(&w, 0, 0);
    for (uint64_t i = 1; i < SP_WINDOW_TICKS; i++) {
        sp_windows_sample(&w, &budget, 2 * SP_WINDOW_NS + i, i, 1);
    }
    CHECK_EQ(w.closed.len, 0);
    sp_windows_sample(&w, &budget, 3 * SP_WINDOW_NS, 100, 1);
    CHECK_EQ(w.closed.len, 1);
    CHECK_EQ(w.open.start_ns, 3 * SP_WINDOW_NS);
    CHECK_EQ(w.open.ticks, 0);
    for (uint64_t i = 1; i < 2 * SP_WINDOW_TICKS; i++) {
        sp_windows_sample(&w, &budget, 4 * SP_WINDOW_NS - 1, 100 + i, 1);
    }
    CHECK_EQ(w.closed.len, 1);
    sp_windows_lost(&w, SP_WINDOW_TICKS, SP_WINDOW_TICKS); /* lost ticks count as well */
    sp_windows_sample(&w, &budget, 4 * SP_WINDOW_NS, 1000, 1);
    CHECK_EQ(w.closed.len, 2);
    sp_windows_end(&w, &budget, 5 * SP_WINDOW_NS, 1010);
    CHECK_EQ(deal(&w, NULL).cpu, 1010);
    done(&w);
}

/* Half a window of ticks at the end would be a noisy factor of its own. */
static void test_a_poor_end_joins_the_window_before(void)
{
    for (uint64_t extra = 0; extra < SP_WINDOW_TICKS; extra++) {
        struct sp_windows w;
        fresh(&w, 0, 0);
        for (uint64_t i = 1; i <= SP_WINDOW_TICKS; i++) {
            sp_windows_sample(&w, &budget, SP_WINDOW_NS * i, 10 * i, 1);
        }
        CHECK_EQ(w.closed.len, 1);
        for (uint64_t i = 0; i < extra; i++) {
            sp_windows_sample(&w, &budget, SP_WINDOW_NS * SP_WINDOW_TICKS + i, 10 * SP_WINDOW_TICKS + i, 1);
        }
        sp_windows_end(&w, &budget, SP_WINDOW_NS * (SP_WINDOW_TICKS + 1), 12345);
        CHECK_EQ(w.closed.len, extra < SP_WINDOW_TICKS / 2 ? 0 : 1);
        CHECK_EQ(w.closed.len == 0 ? w.open.samples : w.open.samples + SP_WINDOW_TICKS, SP_WINDOW_TICKS + extra);
        CHECK_EQ(deal(&w, NULL).cpu, 12345);
        done(&w);
    }
}

static void test_without_memory_the_window_goes_on(void)
{
    struct sp_windows w;
    fresh(&w, 0, 0);
    sp_budget_fail_after(1);
    for (uint64_t i = 1; i <= 4 * SP_WINDOW_TICKS; i++) {
        sp_windows_sample(&w, &budget, SP_WINDOW_NS * i, 7 * i, 1);
    }
    sp_budget_fail_after(0);
    CHECK_EQ(w.closed.len, 0);
    sp_windows_end(&w, &budget, SP_WINDOW_NS * 1000, 99999);
    CHECK_EQ(deal(&w, NULL).sampled, 99999);
    done(&w);
}

/* CPU times and tick counts that need 64 bits each: a product of them does not fit. */
static void test_big_numbers(void)
{
    struct sp_windows w;
    fresh(&w, 0, 0);
    sp_windows_sample(&w, &budget, 1, 1, UINT32_MAX);
    sp_windows_sample(&w, &budget, 2, 2, UINT32_MAX);
    sp_windows_lost(&w, 1, 1ull << 40);
    sp_windows_end(&w, &budget, 3, UINT64_MAX);
    static const uint32_t ticks[] = {UINT32_MAX, UINT32_MAX};
    CHECK_EQ(deal(&w, ticks).cpu, UINT64_MAX);
    struct sp_dealer dealer = {.windows = &w};
    double share = (double)UINT32_MAX / (2.0 * UINT32_MAX + (double)(1ull << 40));
    for (int i = 0; i < 2; i++) {
        double weight = (double)sp_dealer_next(&dealer, UINT32_MAX) / (double)UINT64_MAX;
        CHECK(weight > share * 0.999999 && weight < share * 1.000001);
    }
    done(&w);
}

static void test_a_clock_that_stood_still(void)
{
    struct sp_windows w;
    fresh(&w, 0, 1000);
    sp_windows_sample(&w, &budget, 1, 1000, 1);
    sp_windows_end(&w, &budget, 2, 999); /* two clocks read in the wrong order give nothing, not 2^64 */
    CHECK_EQ(deal(&w, NULL).cpu, 0);
    done(&w);
}

enum { MAX_SAMPLES = 2000 };

/* Threads with every mixture of naps, overruns and losses. */
static void test_random_threads(void)
{
    static uint32_t ticks[MAX_SAMPLES];
    uint64_t state = 11;
    for (int thread = 0; thread < 300; thread++) {
        struct sp_windows w;
        uint64_t time = check_random(&state) >> 20, cpu = check_random(&state) >> 20, start = cpu;
        fresh(&w, time, cpu);
        int samples = (int)(check_random(&state) % MAX_SAMPLES);
        int kind = (int)(check_random(&state) % 4);
        for (int i = 0; i < samples; i++) {
            uint64_t r = check_random(&state);
            cpu += r % 20000000;
            time += r % 20000000 + (kind & 1 ? r % 300000000 : 0);
            if (kind & 2 && r % 5 == 0) {
                sp_windows_lost(&w, 1 + r % 3, 1 + r % 7);
            }
            ticks[i] = 1 + (r % 11 == 0 ? (uint32_t)(r >> 40) % 50 : 0);
            sp_windows_sample(&w, &budget, time, cpu, ticks[i]);
        }
        cpu += check_random(&state) % 10000000;
        sp_windows_end(&w, &budget, time + 1, cpu);
        struct bill bill = deal(&w, ticks);
        CHECK_EQ(bill.cpu, cpu - start);
        CHECK_EQ(bill.idle, samples == 0 ? cpu - start : 0);
        done(&w);
    }
}

int main(void)
{
    RUN(test_ticks_share_the_clock);
    RUN(test_lost_ticks_weigh);
    RUN(test_no_tick_at_all);
    RUN(test_a_window_is_long_and_rich);
    RUN(test_a_poor_end_joins_the_window_before);
    RUN(test_without_memory_the_window_goes_on);
    RUN(test_big_numbers);
    RUN(test_a_clock_that_stood_still);
    RUN(test_random_threads);
    return check_report();
}
