/* Where each thread has its stack: what the handler may read. */
#include "os/stack.h"
#include "os/threads.h"
#include "session.h"

static void set(struct sp_slot *slot, struct sp_stack_bounds bounds)
{
    atomic_store_explicit(&slot->stack_low, bounds.low, memory_order_relaxed);
    atomic_store_explicit(&slot->stack_high, bounds.high, memory_order_release);
}

void sp_stack_note(struct sp_slot *slot)
{
    if (sp_is_main_thread(slot->tid)) {
        set(slot, sp_stack_of_main());
    } else if (slot->tid == sp_gettid()) {
        set(slot, sp_stack_of_caller());
    }
    /* else its handler will ask, with the address of its descriptor */
}

void sp_stacks_look_up(struct sp_session *s)
{
    uint32_t n = atomic_load(&s->n_slots);
    for (uint32_t i = 0; i < n; i++) {
        struct sp_slot *slot = sp_slot_at(s, i);
        uintptr_t descriptor = atomic_load(&slot->stack_asker);
        if (descriptor == 0 || atomic_load(&s->tids[i]) == 0) {
            continue;
        }
        struct sp_stack_bounds bounds = sp_is_main_thread(slot->tid) ? sp_stack_of_main() : sp_stack_below(descriptor);
        if (bounds.high == 0) {
            bounds.low = bounds.high = UINTPTR_MAX; /* nowhere: it is not asked for again */
        }
        set(slot, bounds);
        atomic_store(&slot->stack_asker, 0);
    }
}
