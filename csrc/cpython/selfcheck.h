/* Does this interpreter look as the headers said that it would? */
#ifndef SP_CPYTHON_SELFCHECK_H
#define SP_CPYTHON_SELFCHECK_H

#include "compat.h"

/* NULL if sampling is safe here, else the reason why not, in a static buffer. Compares the layouts that were compiled in
 * with those that the running interpreter publishes (3.13 and later), and the calling thread's walked stack with its
 * frame objects. Context: GIL held. */
const char *sp_selfcheck(bool (*readable)(uintptr_t));

#endif
