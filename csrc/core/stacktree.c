#include "stacktree.h"

#include <string.h>

#include "err.h"

/* The finaliser of MurmurHash3 (public domain, Austin Appleby): every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    x ^= x >> 33;
    return x;
}

static uint64_t hash_code(uint64_t addr)
{
    return mix(addr);
}

static uint64_t hash_frame(const struct sp_raw_frame *f)
{
    return mix(f->addr ^ mix(((uint64_t)(uint32_t)f->offset << 2) | f->kind));
}

static uint64_t hash_node(const struct sp_node *n)
{
    return mix(((uint64_t)n->parent << 32) | n->frame);
}

static uint64_t hash_of(const struct sp_tree *tree, const struct sp_index *index, uint32_t id)
{
    if (index == &tree->code_index) {
        return hash_code(sp_tree_codes(tree)[id].addr);
    }
    if (index == &tree->frame_index) {
        return hash_frame(&sp_tree_frames(tree)[id]);
    }
    return hash_node(&sp_tree_nodes(tree)[id]);
}

static int index_init(struct sp_tree *tree, struct sp_index *index)
{
    index->slots = sp_budget_realloc(tree->budget, NULL, 0, SP_TABLE_START * sizeof(uint32_t));
    if (index->slots == NULL) {
        return SP_ERR_LIMIT;
    }
    memset(index->slots, 0, SP_TABLE_START * sizeof(uint32_t));
    index->size = SP_TABLE_START;
    index->used = 0;
    return SP_OK;
}

static void index_put(struct sp_index *index, uint64_t hash, uint32_t id)
{
    uint32_t mask = index->size - 1;
    uint32_t i = (uint32_t)hash & mask;
    while (index->slots[i] != 0) {
        i = (i + 1) & mask;
    }
    index->slots[i] = id + 1;
    index->used++;
}

/* Keeps at least a third of the slots empty, so that probes are short and always end. */
static int index_reserve(struct sp_tree *tree, struct sp_index *index)
{
    if ((uint64_t)(index->used + 1) * 3 <= (uint64_t)index->size * 2) {
        return SP_OK;
    }
    uint32_t size = index->size * 2;
    uint32_t *slots = sp_budget_realloc(tree->budget, NULL, 0, size * sizeof(uint32_t));
    if (slots == NULL) {
        return SP_ERR_LIMIT;
    }
    memset(slots, 0, size * sizeof(uint32_t));
    struct sp_index old = *index;
    index->slots = slots;
    index->size = size;
    index->used = 0;
    for (uint32_t i = 0; i < old.size; i++) {
        if (old.slots[i] != 0) {
            index_put(index, hash_of(tree, index, old.slots[i] - 1), old.slots[i] - 1);
        }
    }
    sp_budget_free(tree->budget, old.slots, old.size * sizeof(uint32_t));
    return SP_OK;
}

int sp_tree_init(struct sp_tree *tree, struct sp_budget *budget)
{
    memset(tree, 0, sizeof *tree);
    tree->budget = budget;
    int err = index_init(tree, &tree->code_index);
    if (err == SP_OK) {
        err = index_init(tree, &tree->frame_index);
    }
    if (err == SP_OK) {
        err = index_init(tree, &tree->node_index);
    }
    if (err == SP_OK) {
        err = sp_array_reserve(budget, &tree->nodes, sizeof(struct sp_node));
    }
    if (err == SP_OK) {
        /* the empty stack: not in the index, nobody looks it up */
        sp_tree_nodes(tree)[0] = (struct sp_node){0, SP_NO_ID};
        tree->nodes.len = 1;
    }
    return err;
}

void sp_tree_free(struct sp_tree *tree)
{
    sp_array_free(tree->budget, &tree->codes, sizeof(struct sp_code));
    sp_array_free(tree->budget, &tree->frames, sizeof(struct sp_raw_frame));
    sp_array_free(tree->budget, &tree->nodes, sizeof(struct sp_node));
    struct sp_index *all[] = {&tree->code_index, &tree->frame_index, &tree->node_index};
    for (int i = 0; i < 3; i++) {
        sp_budget_free(tree->budget, all[i]->slots, all[i]->size * sizeof(uint32_t));
        memset(all[i], 0, sizeof *all[i]);
    }
}

static uint32_t code_slot(const struct sp_tree *tree, uint64_t addr)
{
    const struct sp_index *index = &tree->code_index;
    uint32_t mask = index->size - 1;
    uint32_t i = (uint32_t)hash_code(addr) & mask;
    while (index->slots[i] != 0 && sp_tree_codes(tree)[index->slots[i] - 1].addr != addr) {
        i = (i + 1) & mask;
    }
    return i;
}

uint32_t sp_tree_find_code(const struct sp_tree *tree, uint64_t addr)
{
    return tree->code_index.slots[code_slot(tree, addr)] - 1; /* 0 - 1 is SP_NO_ID */
}

uint32_t sp_tree_code(struct sp_tree *tree, uint64_t addr)
{
    uint32_t id = sp_tree_find_code(tree, addr);
    if (id != SP_NO_ID) {
        return id;
    }
    if (index_reserve(tree, &tree->code_index) != SP_OK
        || sp_array_reserve(tree->budget, &tree->codes, sizeof(struct sp_code)) != SP_OK) {
        return SP_NO_ID;
    }
    id = (uint32_t)tree->codes.len++;
    sp_tree_codes(tree)[id] = (struct sp_code){addr, NULL};
    index_put(&tree->code_index, hash_code(addr), id);
    return id;
}

void sp_tree_forget_code(struct sp_tree *tree, uint64_t addr)
{
    struct sp_index *index = &tree->code_index;
    uint32_t mask = index->size - 1;
    uint32_t hole = code_slot(tree, addr);
    if (index->slots[hole] == 0) {
        return;
    }
    sp_tree_codes(tree)[index->slots[hole] - 1].addr = 0;
    index->slots[hole] = 0;
    index->used--;
    /* Backward shift: an entry whose probe path crosses the hole moves into it, so that no tombstone is needed. */
    for (uint32_t i = (hole + 1) & mask; index->slots[i] != 0; i = (i + 1) & mask) {
        uint32_t home = (uint32_t)hash_of(tree, index, index->slots[i] - 1) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            index->slots[hole] = index->slots[i];
            index->slots[i] = 0;
            hole = i;
        }
    }
}

static uint32_t intern_frame(struct sp_tree *tree, const struct sp_raw_frame *frame)
{
    struct sp_index *index = &tree->frame_index;
    uint32_t mask = index->size - 1;
    uint64_t hash = hash_frame(frame);
    for (uint32_t i = (uint32_t)hash & mask; index->slots[i] != 0; i = (i + 1) & mask) {
        const struct sp_raw_frame *f = &sp_tree_frames(tree)[index->slots[i] - 1];
        if (f->addr == frame->addr && f->offset == frame->offset && f->kind == frame->kind) {
            return index->slots[i] - 1;
        }
    }
    if (index_reserve(tree, index) != SP_OK
        || sp_array_reserve(tree->budget, &tree->frames, sizeof(struct sp_raw_frame)) != SP_OK) {
        return SP_NO_ID;
    }
    uint32_t id = (uint32_t)tree->frames.len++;
    sp_tree_frames(tree)[id] = *frame;
    index_put(index, hash, id);
    return id;
}

uint32_t sp_tree_child(struct sp_tree *tree, uint32_t parent, const struct sp_raw_frame *frame)
{
    struct sp_node key = {parent, intern_frame(tree, frame)};
    if (key.frame == SP_NO_ID) {
        return SP_NO_ID;
    }
    struct sp_index *index = &tree->node_index;
    uint32_t mask = index->size - 1;
    uint64_t hash = hash_node(&key);
    for (uint32_t i = (uint32_t)hash & mask; index->slots[i] != 0; i = (i + 1) & mask) {
        const struct sp_node *n = &sp_tree_nodes(tree)[index->slots[i] - 1];
        if (n->parent == key.parent && n->frame == key.frame) {
            return index->slots[i] - 1;
        }
    }
    if (index_reserve(tree, index) != SP_OK || sp_array_reserve(tree->budget, &tree->nodes, sizeof(struct sp_node)) != SP_OK) {
        return SP_NO_ID;
    }
    uint32_t id = (uint32_t)tree->nodes.len++;
    sp_tree_nodes(tree)[id] = key;
    index_put(index, hash, id);
    return id;
}
