#include "cpython/evaluation.h" /* Python.h goes before every other header */

#include "ownstack.h"

#include <string.h>

#include "core/err.h"
#include "os/stack.h"
#include "os/threads.h"
#include "os/ucontext.h"

/* For the tables of the largest programs. */
#define MOST_BYTES ((size_t)1 << 30)

__attribute__((noinline)) int sp_own_stack_take(struct sp_own_stack *own)
{
    memset(own, 0, sizeof *own);
    own->budget.limit = MOST_BYTES;
    sp_copier_open(&own->copier);
    if (own->copier.way == SP_COPY_NONE) {
        return SP_ERR_SYSTEM;
    }
    int err = sp_codemap_init(&own->codemap, &own->budget, sp_copy, &own->copier, sp_evaluation_loop());
    if (err == SP_OK) {
        bool main_thread = sp_is_main_thread(sp_gettid());
        struct sp_stack_bounds bounds = main_thread ? sp_stack_of_main() : sp_stack_of_caller();
        struct sp_registers r = {0};
        sp_registers_here(&r.pc, &r.sp, &r.fp);
        own->n = sp_unwind(atomic_load(&own->codemap.current), r, (struct sp_stack){bounds.low, bounds.high}, NULL, own->frames,
                           SP_MAX_NATIVE, &own->end);
    }
    return err;
}

void sp_own_stack_free(struct sp_own_stack *own)
{
    sp_codemap_free(&own->codemap);
    sp_copier_close(&own->copier);
}
