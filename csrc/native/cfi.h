/* Reads .eh_frame: what the compiler says about how to unwind each function.
 *
 * Context: any thread, never the handler. The bytes may be anything: nothing outside of them is read, no input makes it
 * loop or recurse, and what is not understood is SP_CFA_STOP for the function concerned. */
#ifndef SP_NATIVE_CFI_H
#define SP_NATIVE_CFI_H

#include <stddef.h>

#include "rule.h"

struct sp_cfi {
    const uint8_t *bytes; /* a copy of the section */
    size_t size;
    uint64_t address;      /* where the original is in memory */
    uint64_t data_address; /* what "relative to data" refers to: .eh_frame_hdr */
};

/* Takes what is known, in this order: begin() of a function, its rows in ascending order of addresses (each holds up to the next
 * one's), the last with SP_CFA_NONE at its end. A return of false ends the reading. */
struct sp_cfi_sink {
    bool (*begin)(void *ctx, uint64_t start, uint64_t end);
    bool (*row)(void *ctx, uint64_t pc, const struct sp_rule *rule);
    void *ctx;
};

enum sp_cfi_end {
    SP_CFI_WHOLE,   /* up to the terminator, or the last byte */
    SP_CFI_CORRUPT, /* up to where a length made no sense */
    SP_CFI_STOPPED, /* by the sink */
};

enum sp_cfi_end sp_cfi_read(const struct sp_cfi *cfi, const struct sp_cfi_sink *sink);

/* Where .eh_frame is, from the first bytes of .eh_frame_hdr, which is at `address`; 0 if they don't say. */
uint64_t sp_cfi_find(const uint8_t *header, size_t size, uint64_t address);

#endif
