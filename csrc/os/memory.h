/* Pages, and a question about them. */
#ifndef SP_OS_MEMORY_H
#define SP_OS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fresh zero pages that cost nothing until touched; NULL if they can't be had. */
void *sp_pages_new(size_t bytes);
void sp_pages_free(void *pages, size_t bytes);

/* True if 8 bytes at `address` can be read at this moment. Context: any, handler included. */
bool sp_readable(uintptr_t address);

#endif
