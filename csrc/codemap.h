/* The code in memory, kept up to date: which objects there are and how to unwind them.
 *
 * Made by start() and by the drain thread, under the session's lock; read by handlers, which take the newest map from one atomic pointer. */
#ifndef SP_CODEMAP_H
#define SP_CODEMAP_H

#include "core/budget.h"
#include "native/map.h"
#include "os/objects.h"

/* What frames of an object are when they surround Python frames. */
enum sp_object_role {
    SP_OBJECT_OTHER,
    SP_OBJECT_INTERPRETER, /* it contains the evaluation loop */
    SP_OBJECT_RUNTIME,     /* the C library, the program `python`, or spprof, which starts threads */
};

#define SP_BUILD_ID_BYTES 64

/* A program or library that was there at some time. Stays until the end, so that addresses can be named then. */
struct sp_code_object {
    char *path; /* as the table of mappings has it */
    uintptr_t bias;
    struct sp_segment code[SP_OBJECT_SEGMENTS];
    uint64_t code_offset[SP_OBJECT_SEGMENTS]; /* in the file */
    unsigned n_code;
    uint8_t build_id[SP_BUILD_ID_BYTES];
    uint32_t build_id_bytes;
    uint64_t fingerprint; /* of its .eh_frame_hdr: tells it from another one at the same address */
    enum sp_object_role role;
    struct sp_table table;
    bool has_table; /* false also if there was no memory for it */
    bool here;
    uint32_t last_map; /* the last generation of maps that has it */
};

struct sp_codemap {
    struct sp_budget *budget;
    bool (*copy)(void *ctx, void *to, uintptr_t from, size_t bytes); /* fails where there is no memory; at most 4096 bytes */
    void *copy_ctx;
    uintptr_t interpreter_code; /* an address in the evaluation loop */
    struct sp_rules rules;
    struct sp_array objects; /* struct sp_code_object * */
    _Atomic(struct sp_native_map *) current;
    struct sp_native_map *retired; /* the one before, which a handler or a record may still refer to */
    uint64_t changes;              /* of the loader, as of the last look */
    uint32_t refused;              /* objects without a table, for want of memory */
};

/* SP_OK, SP_ERR_LIMIT. */
int sp_codemap_init(struct sp_codemap *cm, struct sp_budget *budget, bool (*copy)(void *, void *, uintptr_t, size_t),
                    void *copy_ctx, uintptr_t interpreter_code);
void sp_codemap_free(struct sp_codemap *cm);

/* True if a new map is due, and the one before the present has been given back. */
bool sp_codemap_stale(const struct sp_codemap *cm);
/* Makes a new map of what is there now. SP_OK, SP_ERR_LIMIT. */
int sp_codemap_refresh(struct sp_codemap *cm);
/* Frees the map before the present one. No handler may be using it, no record name it. */
void sp_codemap_sweep(struct sp_codemap *cm);

/* The map of that generation; NULL if it is gone. */
const struct sp_native_map *sp_codemap_of(const struct sp_codemap *cm, uint32_t generation);

static inline const struct sp_code_object *sp_codemap_object(const struct sp_codemap *cm, uint32_t number)
{
    return ((struct sp_code_object *const *)cm->objects.data)[number];
}

#endif
