/* Part of the signal handler: nothing here allocates, locks or calls out. */
#include "schedule.h"

/* A source that goes on by itself keeps the delay of the tick at which its pace was set. The way to the handler is always
 * there, and harmless; the rest of a system call would tie the ticks that follow to its end. So a pace is set at a tick that
 * came no later than usual, give or take this part of the interval. */
#define SMALL_PART 64u

/* The way to the handler is never longer, if nothing else is in it. */
#define LONGEST_WAY_NS 20000u

/* What is usual follows the tenth part of the ticks that came soonest, in these steps. */
#define USUAL_UP_NS 50u
#define USUAL_DOWN_NS 450u

/* Ticks that are counted one by one at their own paces. */
#define MANY 64u

/* How early a tick may be, in parts of the interval: the source counts time a little otherwise than the clock does. */
#define EARLY_PART 8u

uint64_t sp_schedule_start(struct sp_schedule *schedule, uint64_t interval_ns, uint64_t seed, uint64_t cpu_ns)
{
    *schedule = (struct sp_schedule){.interval_ns = interval_ns, .random = seed | 1};
    uint64_t first = 1 + sp_random(&schedule->random) % interval_ns;
    schedule->due_ns = cpu_ns + first;
    return first;
}

/* The next point. Paces are drawn after so many points whatever happened at them: were it more often where ticks come late,
 * points would gather there. interval x [0.75, 1.25) keeps the mean, and no program stays in step with it. True if the pace
 * is a new one. */
static bool advance(struct sp_schedule *schedule)
{
    uint64_t interval = schedule->interval_ns;
    bool drawn = schedule->paces_left == 0;
    if (drawn) {
        schedule->pace_ns = interval - interval / 4 + sp_random(&schedule->random) % (interval / 2 + 1);
        schedule->paces_left = interval < SP_JITTER_EACH_TICK_NS ? SP_JITTER_EVERY : 1;
    }
    schedule->paces_left--;
    schedule->due_ns += schedule->pace_ns;
    return drawn;
}

static uint64_t at_least_shortest(uint64_t ns)
{
    return ns > SP_SHORTEST_PERIOD_NS ? ns : SP_SHORTEST_PERIOD_NS;
}

/* A tick that the source was set for came so late. */
static void learn_usual(struct sp_schedule *schedule, uint64_t late)
{
    uint64_t usual = schedule->usual_ns, most = schedule->interval_ns / EARLY_PART;
    if (late > usual) {
        usual += USUAL_UP_NS;
    } else {
        usual -= usual < USUAL_DOWN_NS ? usual : USUAL_DOWN_NS;
    }
    most = most < LONGEST_WAY_NS ? most : LONGEST_WAY_NS;
    schedule->usual_ns = usual < most ? usual : most;
}

uint64_t sp_schedule_left(struct sp_schedule *schedule, uint64_t cpu_ns)
{
    schedule->goes_on = false;
    return at_least_shortest(schedule->due_ns > cpu_ns ? schedule->due_ns - cpu_ns : 0);
}

uint32_t sp_schedule_tick(struct sp_schedule *schedule, uint64_t cpu_ns, uint64_t put_off_ns, uint64_t *set_ns)
{
    uint64_t interval = schedule->interval_ns;
    *set_ns = 0;
    if (cpu_ns + interval / EARLY_PART < schedule->due_ns) {
        *set_ns = sp_schedule_left(schedule, cpu_ns);
        return 0;
    }
    uint64_t late = cpu_ns > schedule->due_ns ? cpu_ns - schedule->due_ns : 0;
    if (!schedule->goes_on) {
        learn_usual(schedule, late);
    }
    uint64_t merged = 0;
    if (late > MANY * interval) { /* not one by one in a signal handler */
        merged = late / interval - 1;
        schedule->due_ns += merged * interval;
    }
    bool drawn = false;
    do {
        merged++;
        late = cpu_ns > schedule->due_ns ? cpu_ns - schedule->due_ns : 0;
        drawn |= advance(schedule);
    } while (schedule->due_ns <= cpu_ns);
    if (put_off_ns > schedule->pace_ns) {
        schedule->goes_on = false;
        *set_ns = put_off_ns;
    } else if (!schedule->goes_on || drawn) {
        schedule->goes_on = schedule->paces_left > 0 && late <= schedule->usual_ns + interval / SMALL_PART;
        *set_ns = schedule->goes_on ? schedule->pace_ns : at_least_shortest(schedule->due_ns - cpu_ns);
    }
    return merged > UINT32_MAX ? UINT32_MAX : (uint32_t)merged;
}
