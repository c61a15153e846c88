/* The stack tree against a model of it that is too simple to be wrong, also while memory runs out. */
#include "core/stacktree.h"

#include <string.h>

#include "check.h"
#include "core/err.h"

static const struct sp_budget PLENTY = {.limit = 1u << 30};

static struct sp_raw_frame code_frame(uint32_t code, int32_t offset)
{
    return (struct sp_raw_frame){.addr = code, .offset = offset, .kind = SP_FRAME_CODE};
}

/* The node of a stack of frames (code id, offset) that is given root first, ended by a negative code. */
static uint32_t intern(struct sp_tree *tree, const int32_t (*stack)[2])
{
    uint32_t node = 0;
    for (; (*stack)[0] >= 0; stack++) {
        struct sp_raw_frame frame = code_frame((uint32_t)(*stack)[0], (*stack)[1]);
        node = sp_tree_child(tree, node, &frame);
    }
    return node;
}

static void test_root_is_the_empty_stack(void)
{
    struct sp_budget budget = PLENTY;
    struct sp_tree tree;
    CHECK_EQ(sp_tree_init(&tree, &budget), SP_OK);
    CHECK_EQ(tree.nodes.len, 1);
    CHECK_EQ(sp_tree_nodes(&tree)[0].parent, 0);
    CHECK_EQ(sp_tree_nodes(&tree)[0].frame, SP_NO_ID);
    CHECK(budget.used > 0);
    sp_tree_free(&tree);
    CHECK_EQ(budget.used, 0);
}

static void test_equal_stacks_are_equal_numbers(void)
{
    struct sp_budget budget = PLENTY;
    struct sp_tree tree;
    sp_tree_init(&tree, &budget);
    uint32_t ab = intern(&tree, (const int32_t[][2]){{1, 4}, {2, 8}, {-1, 0}});
    uint32_t ac = intern(&tree, (const int32_t[][2]){{1, 4}, {2, 10}, {-1, 0}});
    uint32_t b = intern(&tree, (const int32_t[][2]){{2, 8}, {-1, 0}});
    uint32_t aab = intern(&tree, (const int32_t[][2]){{1, 4}, {1, 4}, {2, 8}, {-1, 0}});
    CHECK(ab != ac && ab != b && ac != b && aab != ab);
    CHECK_EQ(intern(&tree, (const int32_t[][2]){{1, 4}, {2, 8}, {-1, 0}}), ab);
    CHECK_EQ(tree.nodes.len, 1 + 3 + 1 + 2); /* a, a>b, a>c; b; a>a, a>a>b */
    CHECK_EQ(tree.frames.len, 3);
    for (uint32_t i = 1; i < tree.nodes.len; i++) {
        CHECK(sp_tree_nodes(&tree)[i].parent < i);
        CHECK(sp_tree_nodes(&tree)[i].frame < tree.frames.len);
    }
    /* an offset of -1 (not started) and a native pc or mark with the same number are frames of their own */
    struct sp_raw_frame frames[] = {
        {.addr = 1, .offset = 4, .kind = SP_FRAME_CODE},
        {.addr = 1, .offset = -1, .kind = SP_FRAME_CODE},
        {.addr = 1, .offset = 4, .kind = SP_FRAME_NATIVE},
        {.addr = 1, .offset = 4, .kind = SP_FRAME_MARK},
        {.addr = 1ull << 32 | 1, .offset = 4, .kind = SP_FRAME_CODE},
    };
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < i; j++) {
            CHECK(sp_tree_child(&tree, 0, &frames[i]) != sp_tree_child(&tree, 0, &frames[j]));
        }
    }
    /* many of them, so that they meet in the hash tables */
    for (uint32_t i = 0; i < 600; i++) {
        struct sp_raw_frame frame = {.addr = 100 + i / 3, .offset = 4, .kind = SP_FRAME_CODE + i % 3};
        uint32_t before = (uint32_t)tree.nodes.len;
        CHECK_EQ(sp_tree_child(&tree, 0, &frame), before);
    }
    sp_tree_free(&tree);
    CHECK_EQ(budget.used, 0);
}

static void test_a_dead_code_leaves_its_address(void)
{
    struct sp_budget budget = PLENTY;
    struct sp_tree tree;
    sp_tree_init(&tree, &budget);
    CHECK_EQ(sp_tree_find_code(&tree, 0x1000), SP_NO_ID);
    uint32_t first = sp_tree_code(&tree, 0x1000);
    uint32_t other = sp_tree_code(&tree, 0x2000);
    CHECK_EQ(sp_tree_code(&tree, 0x1000), first);
    CHECK_EQ(sp_tree_find_code(&tree, 0x1000), first);
    sp_tree_forget_code(&tree, 0x1000);
    sp_tree_forget_code(&tree, 0x1000); /* unknown addresses are fine */
    CHECK_EQ(sp_tree_find_code(&tree, 0x1000), SP_NO_ID);
    CHECK_EQ(sp_tree_codes(&tree)[first].addr, 0);
    uint32_t second = sp_tree_code(&tree, 0x1000);
    CHECK(second != first && second != other);
    CHECK_EQ(sp_tree_find_code(&tree, 0x2000), other);
    CHECK_EQ(tree.codes.len, 3);
    sp_tree_free(&tree);
}

/* ---- random codes that live and die, against an array */

enum { ADDRESSES = 300, CODE_STEPS = 60000 };

static void test_codes_against_a_model(void)
{
    struct sp_budget budget = PLENTY;
    struct sp_tree tree;
    sp_tree_init(&tree, &budget);
    uint32_t model[ADDRESSES];
    memset(model, 0xff, sizeof model); /* SP_NO_ID */
    uint64_t state = 3;
    for (int step = 0; step < CODE_STEPS; step++) {
        uint64_t r = check_random(&state);
        uint32_t n = (uint32_t)(r % ADDRESSES);
        uint64_t addr = 0x7f0000000000ull + 16ull * n; /* as an allocator gives them: close together */
        if (r >> 62 == 0) {
            sp_tree_forget_code(&tree, addr);
            model[n] = SP_NO_ID;
        } else {
            uint32_t before = (uint32_t)tree.codes.len;
            uint32_t id = sp_tree_code(&tree, addr);
            CHECK_EQ(id, model[n] == SP_NO_ID ? before : model[n]);
            model[n] = id;
        }
        if (step % 500 == 0) {
            for (uint32_t i = 0; i < ADDRESSES; i++) {
                CHECK_EQ(sp_tree_find_code(&tree, 0x7f0000000000ull + 16ull * i), model[i]);
            }
        }
    }
    sp_tree_free(&tree);
    CHECK_EQ(budget.used, 0);
}

/* ---- random stacks, against two arrays that are searched from the start */

enum { MODEL_NODES = 2000, STACKS = 3000 };

struct model {
    struct sp_node nodes[MODEL_NODES]; /* frame: code << 8 | offset */
    uint32_t len;
};

static uint32_t model_child(struct model *m, uint32_t parent, uint32_t frame)
{
    for (uint32_t i = 1; i < m->len; i++) {
        if (m->nodes[i].parent == parent && m->nodes[i].frame == frame) {
            return i;
        }
    }
    m->nodes[m->len] = (struct sp_node){parent, frame};
    return m->len++;
}

/* Follows a node to the root, frame by frame, in both. */
static void check_same_stack(const struct sp_tree *tree, uint32_t node, const struct model *m, uint32_t want)
{
    while (node != 0 && want != 0) {
        const struct sp_raw_frame *f = &sp_tree_frames(tree)[sp_tree_nodes(tree)[node].frame];
        CHECK_EQ(f->addr << 8 | (uint64_t)f->offset, m->nodes[want].frame);
        node = sp_tree_nodes(tree)[node].parent;
        want = m->nodes[want].parent;
    }
    CHECK_EQ(node, 0);
    CHECK_EQ(want, 0);
}

static void test_stacks_against_a_model(void)
{
    static struct model m;
    struct sp_budget budget = PLENTY;
    struct sp_tree tree;
    sp_tree_init(&tree, &budget);
    m.len = 1;
    uint64_t state = 5;
    for (int n = 0; n < STACKS && m.len < MODEL_NODES - 16; n++) {
        uint32_t node = 0, want = 0;
        for (uint64_t depth = check_random(&state) % 16; depth > 0; depth--) {
            uint32_t code = (uint32_t)(check_random(&state) % 3), offset = (uint32_t)(check_random(&state) % 2);
            struct sp_raw_frame frame = code_frame(code, (int32_t)offset);
            node = sp_tree_child(&tree, node, &frame);
            want = model_child(&m, want, code << 8 | offset);
            CHECK_EQ(node, want); /* both number nodes in the order in which they are met */
        }
        check_same_stack(&tree, node, &m, want);
    }
    CHECK_EQ(tree.nodes.len, m.len);
    CHECK_EQ(tree.frames.len, 6);
    sp_tree_free(&tree);
    CHECK_EQ(budget.used, 0);
}

/* ---- without memory */

/* Grows a tree by a chain of new codes and frames, each a node below the one before; false when one was refused. */
static int grow(struct sp_tree *tree, uint32_t from, uint32_t to)
{
    uint32_t node = from;
    for (uint32_t i = from; i < to; i++) {
        uint32_t code = sp_tree_code(tree, 0x1000 + 16ull * i);
        if (code == SP_NO_ID) {
            return 0;
        }
        struct sp_raw_frame frame = code_frame(code, (int32_t)i);
        uint32_t child = sp_tree_child(tree, node, &frame);
        if (child == SP_NO_ID) {
            return 0;
        }
        CHECK_EQ(child, i + 1);
        node = child;
    }
    return 1;
}

enum { CHAIN = 700 };

static void test_every_allocation_fails_in_turn(void)
{
    int refused = 1;
    for (long nth = 1; refused; nth++) {
        struct sp_budget budget = PLENTY;
        struct sp_tree tree;
        sp_budget_fail_after(nth);
        refused = sp_tree_init(&tree, &budget) != SP_OK;
        int grown = !refused && grow(&tree, 0, CHAIN);
        refused |= !grown;
        sp_budget_fail_after(0);
        if (tree.nodes.len > 0) {
            /* what was there is still found, under the same numbers, and the rest can be added now */
            CHECK(grow(&tree, 0, CHAIN));
            CHECK_EQ(tree.nodes.len, CHAIN + 1);
            CHECK_EQ(tree.codes.len, CHAIN);
        }
        sp_tree_free(&tree);
        CHECK_EQ(budget.used, 0);
    }
}

static void test_limit_holds_and_what_is_known_stays_known(void)
{
    struct sp_budget budget = {.limit = 48 * 1024};
    struct sp_tree tree;
    CHECK_EQ(sp_tree_init(&tree, &budget), SP_OK);
    uint32_t fits = 0;
    while (fits < 100000 && grow(&tree, fits, fits + 1)) {
        fits++;
        CHECK(budget.used <= budget.limit);
    }
    CHECK(fits > 300 && fits < 1500); /* 48 KB at 24 bytes of code, 16 of frame, 8 of node, 12 of index, and room */
    CHECK(grow(&tree, 0, fits));
    CHECK(!grow(&tree, fits, fits + 1));
    CHECK(budget.used <= budget.limit);
    sp_tree_free(&tree);
    CHECK_EQ(budget.used, 0);
}

int main(void)
{
    RUN(test_root_is_the_empty_stack);
    RUN(test_equal_stacks_are_equal_numbers);
    RUN(test_a_dead_code_leaves_its_address);
    RUN(test_codes_against_a_model);
    RUN(test_stacks_against_a_model);
    RUN(test_every_allocation_fails_in_turn);
    RUN(test_limit_holds_and_what_is_known_stays_known);
    return check_report();
}
