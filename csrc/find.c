/* Which slot is this thread's? Alone in a file because the handler asks. */
#include "session.h"

struct sp_slot *sp_slot_find(struct sp_session *s, pid_t tid)
{
    /* A row of integers, a few hundred at most in a busy server: a scan, once in a thread's life. */
    uint32_t n = atomic_load_explicit(&s->n_slots, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        if (atomic_load_explicit(&s->tids[i], memory_order_acquire) == tid) {
            return sp_slot_at(s, i);
        }
    }
    return NULL;
}
