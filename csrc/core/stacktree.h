/* Stacks, stored once: codes, frames and a tree of nodes.
 *
 *   code   what an address of a code object meant while it lived  (address, meta)
 *   frame  a place in a code object, or a native pc, or a mark      (kind, code id | pc | mark, offset)
 *   node   a frame called from a parent node                        (parent, frame); node 0 is the empty stack
 *
 * A stack is the index of its leaf's node; equal stacks are equal numbers. Parents have smaller indices than their
 * children. Nothing is ever removed but the address of a code object that died (sp_tree_forget_code), after which the
 * same address is a new code.
 *
 * Context: everything here runs under the drain lock. */
#ifndef SP_CORE_STACKTREE_H
#define SP_CORE_STACKTREE_H

#include <stdbool.h>
#include <stdint.h>

#include "budget.h"
#include "sample.h"

#define SP_NO_ID UINT32_MAX

struct sp_code {
    uint64_t addr; /* 0 once the code object died or was resolved for good */
    void *meta;    /* the interpreter side's: names and line table; NULL until resolved */
};

struct sp_node {
    uint32_t parent;
    uint32_t frame;
};

/* Open addressing, linear probing, power of two; slots hold an id + 1, 0 is empty. */
struct sp_index {
    uint32_t *slots;
    uint32_t size;
    uint32_t used;
};

struct sp_tree {
    struct sp_budget *budget;
    struct sp_array codes;  /* struct sp_code */
    struct sp_array frames; /* struct sp_raw_frame, addr = code id for SP_FRAME_CODE */
    struct sp_array nodes;  /* struct sp_node */
    struct sp_index code_index;
    struct sp_index frame_index;
    struct sp_index node_index;
};

/* Fails: SP_ERR_LIMIT. The tree may be freed after a failure. */
int sp_tree_init(struct sp_tree *tree, struct sp_budget *budget);
void sp_tree_free(struct sp_tree *tree);

/* The id of the live code at `addr`, made if new; SP_NO_ID at the memory limit. */
uint32_t sp_tree_code(struct sp_tree *tree, uint64_t addr);
/* The same without making one: SP_NO_ID if the address is not known. */
uint32_t sp_tree_find_code(const struct sp_tree *tree, uint64_t addr);
/* The code object at `addr` dies: the id stays, the address means nothing any more. */
void sp_tree_forget_code(struct sp_tree *tree, uint64_t addr);

/* The node of `frame` (interned: addr is a code id for SP_FRAME_CODE) below `parent`; SP_NO_ID at the memory limit. */
uint32_t sp_tree_child(struct sp_tree *tree, uint32_t parent, const struct sp_raw_frame *frame);

static inline struct sp_code *sp_tree_codes(const struct sp_tree *tree)
{
    return tree->codes.data;
}
static inline struct sp_raw_frame *sp_tree_frames(const struct sp_tree *tree)
{
    return tree->frames.data;
}
static inline struct sp_node *sp_tree_nodes(const struct sp_tree *tree)
{
    return tree->nodes.data;
}

#endif
