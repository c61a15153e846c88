/* Which source ticks, and why. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "session.h"

static const char *why_refused(enum sp_tick_source source, int err, char *out, size_t size)
{
    if (source == SP_TICK_PERF && (err == -EACCES || err == -EPERM)) {
        snprintf(out, size, "perf_event_open refused (%s): kernel.perf_event_paranoid is %d, 1 or less or CAP_PERFMON is needed",
                 err == -EACCES ? "EACCES" : "EPERM", sp_perf_paranoid());
    } else if (source == SP_TICK_PERF) {
        snprintf(out, size, "perf_event_open failed: %s", strerror(-err));
    } else if (source == SP_TICK_TIMER) {
        snprintf(out, size, "timer_create failed: %s", strerror(-err));
    } else {
        snprintf(out, size, "rt_tgsigqueueinfo failed: %s", strerror(-err));
    }
    return out;
}

int sp_source_usable(enum sp_tick_source source, char *text, size_t size)
{
    int err = sp_tick_try(source);
    if (err != 0) {
        why_refused(source, err, text, size);
        return err;
    }
    if (source == SP_TICK_PERF) {
        snprintf(text, size, "task clock of the kernel, true rate, kernel time included");
    } else if (source == SP_TICK_THREAD) {
        snprintf(text, size, "own clock, any rate, needs nothing of the system");
    } else {
        snprintf(text, size, "CPU timer, at most %d ticks a second (kernel tick)", sp_kernel_hz());
    }
    return 0;
}

/* Elapsed time: the sampler thread, which signals threads that run, if it may. `because` is what led there, or empty. */
static int choose_for_elapsed_time(struct sp_session *s, const char *because)
{
    char why[160];
    bool usable = sp_source_usable(SP_TICK_THREAD, why, sizeof why) == 0;
    s->source = usable ? SP_TICK_THREAD : SP_TICK_NONE;
    if (usable) {
        snprintf(why, sizeof why, "own clock, signals only to threads that run");
    }
    snprintf(s->source_reason, sizeof s->source_reason, "%.300s%s%.140s%s", because, because[0] != '\0' ? "; " : "",
             usable || because[0] == '\0' ? why : "elapsed time instead",
             usable ? "" : ": threads that run can't be asked where they are");
    return SP_OK;
}

int sp_choose_source(struct sp_session *s, char *text, size_t text_size)
{
    static const enum sp_tick_source order[] = {SP_TICK_PERF, SP_TICK_THREAD, SP_TICK_TIMER};
    enum sp_tick_source asked = s->settings.source;
    if (s->settings.mode != SP_MODE_CPU) {
        return choose_for_elapsed_time(s, "");
    }
    char refused[320] = "";
    for (int k = 0; k < 3; k++) {
        enum sp_tick_source source = asked != SP_TICK_NONE ? asked : order[k];
        char why[160];
        if (sp_source_usable(source, why, sizeof why) == 0) {
            s->source = source;
            snprintf(s->source_reason, sizeof s->source_reason, "%.160s%s%.150s",
                     asked != SP_TICK_NONE ? "asked for by SPPROF_TICK: " : refused,
                     asked == SP_TICK_NONE && refused[0] != '\0' ? "; " : "", why);
            return SP_OK;
        }
        if (asked != SP_TICK_NONE) {
            snprintf(text, text_size, "%s", why);
            return SP_ERR_NO_TICK;
        }
        size_t has = strlen(refused);
        snprintf(refused + has, sizeof refused - has, "%s%s", has > 0 ? "; " : "", why);
    }
    if (s->settings.may_fall_back) {
        s->settings.mode = SP_MODE_WALL;
        return choose_for_elapsed_time(s, refused);
    }
    snprintf(text, text_size, "%s; let the sandbox allow one of these calls, or measure elapsed time: mode=\"wall\"", refused);
    return SP_ERR_NO_TICK;
}
