#include "weights.h"

#include <string.h>

#include "err.h"
#include "limits.h"

static struct sp_window *closed(const struct sp_windows *w)
{
    return w->closed.data;
}

__extension__ typedef unsigned __int128 sp_u128;

/* floor(ns * part / whole) without overflow: both factors may need 64 bits. */
static uint64_t share(uint64_t ns, uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (uint64_t)((sp_u128)ns * part / whole);
}

void sp_windows_start(struct sp_windows *w, uint64_t time_ns, uint64_t cpu_ns)
{
    memset(w, 0, sizeof *w);
    w->open.start_ns = w->open.end_ns = time_ns;
    w->open_cpu_ns = cpu_ns;
}

static void close_window(struct sp_windows *w, struct sp_budget *b, uint64_t time_ns, uint64_t cpu_ns)
{
    if (sp_array_reserve(b, &w->closed, sizeof(struct sp_window)) != SP_OK) {
        return;
    }
    w->open.cpu_ns = cpu_ns - w->open_cpu_ns;
    w->open.end_ns = time_ns;
    closed(w)[w->closed.len++] = w->open;
    w->open = (struct sp_window){.start_ns = time_ns, .end_ns = time_ns};
    w->open_cpu_ns = cpu_ns;
}

void sp_windows_sample(struct sp_windows *w, struct sp_budget *b, uint64_t time_ns, uint64_t cpu_ns, uint32_t ticks)
{
    w->open.samples++;
    w->open.ticks += ticks;
    w->open.end_ns = time_ns;
    if (w->open.ticks + w->open.lost_ticks >= SP_WINDOW_TICKS && time_ns - w->open.start_ns >= SP_WINDOW_NS) {
        close_window(w, b, time_ns, cpu_ns);
    }
}

void sp_windows_lost(struct sp_windows *w, uint64_t samples, uint64_t ticks)
{
    w->open.lost_samples += samples;
    w->open.lost_ticks += ticks;
}

void sp_windows_deaf(struct sp_windows *w, struct sp_budget *b, uint64_t cpu_ns)
{
    if (w->open.ticks + w->open.lost_ticks > 0 && cpu_ns >= w->open_cpu_ns) {
        close_window(w, b, w->open.end_ns, cpu_ns);
    }
    w->deaf = w->open.ticks + w->open.lost_ticks == 0;
}

void sp_windows_end(struct sp_windows *w, struct sp_budget *b, uint64_t time_ns, uint64_t cpu_ns)
{
    (void)b;
    w->open.cpu_ns = cpu_ns > w->open_cpu_ns ? cpu_ns - w->open_cpu_ns : 0;
    w->open.end_ns = time_ns;
    if (!w->deaf && w->closed.len > 0 && w->open.ticks + w->open.lost_ticks < SP_WINDOW_TICKS / 2) {
        struct sp_window *last = &closed(w)[--w->closed.len];
        w->open.samples += last->samples;
        w->open.ticks += last->ticks;
        w->open.lost_ticks += last->lost_ticks;
        w->open.lost_samples += last->lost_samples;
        w->open.cpu_ns += last->cpu_ns;
        w->open.start_ns = last->start_ns;
    }
}

void sp_windows_free(struct sp_windows *w, struct sp_budget *b)
{
    sp_array_free(b, &w->closed, sizeof(struct sp_window));
}

uint64_t sp_window_lost_ns(const struct sp_window *w)
{
    return w->lost_ticks == 0 ? 0 : w->cpu_ns - share(w->cpu_ns, w->ticks, w->ticks + w->lost_ticks);
}

uint64_t sp_dealer_next(struct sp_dealer *d, uint32_t ticks)
{
    const struct sp_windows *all = d->windows;
    const struct sp_window *w;
    for (;;) {
        w = d->window < all->closed.len ? &closed(all)[d->window] : &all->open;
        if (d->samples < w->samples || d->window >= all->closed.len) {
            break;
        }
        d->window++;
        d->samples = d->ticks = 0;
    }
    uint64_t whole = w->ticks + w->lost_ticks;
    uint64_t before = share(w->cpu_ns, d->ticks, whole);
    d->samples++;
    d->ticks += ticks;
    uint64_t weight = share(w->cpu_ns, d->ticks, whole) - before;
    d->sampled_ns += weight;
    return weight;
}
