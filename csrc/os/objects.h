/* The programs and libraries in memory, and what memory is mapped. Context: any thread, not the handler. */
#ifndef SP_OS_OBJECTS_H
#define SP_OS_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SP_OBJECT_SEGMENTS 4

struct sp_segment {
    uintptr_t start, end;
};

/* As the loader has it: addresses that are good until the object is unloaded, which may be at once. */
struct sp_object_info {
    const char *name;                           /* "" for the program itself */
    uintptr_t bias;                             /* addresses in memory exceed those in the file by that much */
    struct sp_segment code[SP_OBJECT_SEGMENTS]; /* executable parts */
    uint64_t code_offset[SP_OBJECT_SEGMENTS];   /* where they are in the file */
    unsigned n_code;
    struct sp_segment unwind_header;             /* .eh_frame_hdr; 0: none */
    uintptr_t unwind_limit;                      /* .eh_frame ends before this */
    struct sp_segment notes[SP_OBJECT_SEGMENTS]; /* in one of these is the build id */
    unsigned n_notes;
};

/* Calls visit(object, ctx) for each, under the loader's lock; false ends it. */
void sp_objects_each(bool (*visit)(const struct sp_object_info *object, void *ctx), void *ctx);

/* A number that changes whenever an object is loaded or unloaded. */
uint64_t sp_objects_changes(void);

/* One line of the table of mappings. `path`: "" for memory without a file. */
struct sp_mapping {
    uintptr_t start, end;
    bool executable;
    const char *path;
};

/* Calls visit(mapping, ctx) for each, in ascending order; false ends it. 0 or -errno. */
int sp_mappings_each(bool (*visit)(const struct sp_mapping *mapping, void *ctx), void *ctx);

#endif
