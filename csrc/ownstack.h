/* The stack of the thread that asks, with tables made for the occasion: a debugging aid, and the unwinder's check of itself. */
#ifndef SP_OWNSTACK_H
#define SP_OWNSTACK_H

#include "codemap.h"
#include "native/unwind.h"
#include "os/copy.h"

struct sp_own_stack {
    struct sp_budget budget;
    struct sp_copier copier;
    struct sp_codemap codemap;
    struct sp_raw_frame frames[SP_MAX_NATIVE];
    uint32_t n;
    enum sp_unwind_end end;
};

/* SP_OK, SP_ERR_LIMIT, SP_ERR_SYSTEM (code can't be read). To be freed in any case. Context: GIL held. */
int sp_own_stack_take(struct sp_own_stack *own);
void sp_own_stack_free(struct sp_own_stack *own);

#endif
