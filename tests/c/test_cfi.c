/* The reader of .eh_frame: forms that compilers, assemblers and linkers write, and bytes that none would. */
#include "native/cfi.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/err.h"
#include "core/limits.h"
#include "native/table.h"
#include "os/objects.h"

enum { BASE = 0x10000 };

/* ---- sections made by hand */

static struct {
    uint8_t bytes[4096];
    size_t n, entry, cie;
} made;

static void put(unsigned byte)
{
    made.bytes[made.n++] = (uint8_t)byte;
}

static void put4(uint32_t value)
{
    memcpy(made.bytes + made.n, &value, 4);
    made.n += 4;
}

static void put_text(const char *text)
{
    memcpy(made.bytes + made.n, text, strlen(text) + 1);
    made.n += strlen(text) + 1;
}

static void begin_entry(void)
{
    made.entry = made.n;
    put4(0);
}

static void end_entry(void)
{
    while ((made.n - made.entry) % 8 != 4) {
        put(0);
    }
    uint32_t length = (uint32_t)(made.n - made.entry - 4);
    memcpy(made.bytes + made.entry, &length, 4);
}

/* As gcc has it: cfa = rsp + 8, return address at cfa - 8, addresses relative to where they stand. */
static void put_cie(const char *augmentation)
{
    made.cie = made.n;
    begin_entry();
    put4(0);
    put(1);
    put_text(augmentation);
    put(1);
    put(0x78); /* -8 */
    put(SP_REG_RETURN);
    if (augmentation[0] == 'z') {
        put(1);
        put(0x1b);
    }
    put(0x0c);
    put(SP_REG_SP);
    put(8);
    put(0x80 | SP_REG_RETURN);
    put(1);
    end_entry();
}

static void start_section(void)
{
    memset(&made, 0, sizeof made);
}

static void begin_function(uint32_t start, uint32_t bytes)
{
    begin_entry();
    put4((uint32_t)(made.n - made.cie));
    put4(start - (uint32_t)made.n); /* the section is at address 0 */
    put4(bytes);
    put(0);
}

static struct sp_budget budget = {.limit = 16u << 20};
static struct sp_rules rules;
static struct sp_table table;

/* Reads the section from a block of exactly its size, so that a sanitizer sees each byte too many. */
static int read_bytes(const uint8_t *bytes, size_t size, uint64_t address)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    sp_table_free(&table, &budget);
    struct sp_cfi cfi = {copy, size, address, 0};
    int err = sp_table_build(&table, &cfi, BASE, 1u << 20, &rules, &budget);
    free(copy);
    return err;
}

static void read_made(void)
{
    CHECK_EQ(read_bytes(made.bytes, made.n, 0), SP_OK);
}

static const struct sp_rule *rule_at(uint64_t address)
{
    return &rules.all[sp_table_find(&table, address)];
}

#define CHECK_CFA(address, kind, offset)                                                                                           \
    do {                                                                                                                           \
        CHECK_EQ(rule_at(address)->cfa, kind);                                                                                     \
        CHECK_EQ(rule_at(address)->cfa_offset, offset);                                                                            \
    } while (0)

static void test_a_function(void)
{
    start_section();
    put_cie("zR");
    begin_function(BASE + 0x100, 0x40); /* push rbp; mov rbp, rsp; ... leave; ret */
    put(0x41), put(0x0e), put(16), put(0x80 | SP_REG_FP), put(2);
    put(0x43), put(0x0d), put(SP_REG_FP);
    put(0x02), put(0x30), put(0x0c), put(SP_REG_SP), put(8);
    end_entry();
    begin_function(BASE + 0x140, 0x10); /* next to it */
    end_entry();
    begin_function(BASE + 0x50, 0x10);          /* before it, read after it */
    put(0x44), put(0x0e), put(0x80), put(0x20); /* 4096 */
    end_entry();
    put4(0);
    put4(0x12345678); /* behind the terminator anything may follow */
    read_made();
    CHECK_EQ(table.end, SP_CFI_WHOLE);
    CHECK_EQ(table.functions, 3);
    CHECK_EQ(rule_at(BASE)->cfa, SP_CFA_NONE);
    CHECK_EQ(rule_at(BASE + 0x4f)->cfa, SP_CFA_NONE);
    CHECK_CFA(BASE + 0x50, SP_CFA_SP, 8);
    CHECK_CFA(BASE + 0x53, SP_CFA_SP, 8);
    CHECK_CFA(BASE + 0x54, SP_CFA_SP, 4096);
    CHECK_CFA(BASE + 0x5f, SP_CFA_SP, 4096);
    CHECK_EQ(rule_at(BASE + 0x60)->cfa, SP_CFA_NONE);
    CHECK_EQ(rule_at(BASE + 0xff)->cfa, SP_CFA_NONE);
    CHECK_CFA(BASE + 0x100, SP_CFA_SP, 8);
    CHECK_EQ(rule_at(BASE + 0x100)->fp, SP_SAVED_NOT);
    CHECK_CFA(BASE + 0x101, SP_CFA_SP, 16);
    CHECK_EQ(rule_at(BASE + 0x101)->fp, SP_SAVED_CFA);
    CHECK_EQ(rule_at(BASE + 0x101)->fp_offset, -16);
    CHECK_EQ(rule_at(BASE + 0x101)->return_offset, -8);
    CHECK_CFA(BASE + 0x104, SP_CFA_FP, 16);
    CHECK_CFA(BASE + 0x133, SP_CFA_FP, 16);
    CHECK_CFA(BASE + 0x134, SP_CFA_SP, 8);
    CHECK_EQ(rule_at(BASE + 0x140)->fp, SP_SAVED_NOT);
    CHECK_EQ(rule_at(BASE + 0x150)->cfa, SP_CFA_NONE);
    CHECK_EQ(rule_at(BASE + 0x100000)->cfa, SP_CFA_NONE);
    CHECK_EQ(rule_at(0)->cfa, SP_CFA_NONE);
    CHECK_EQ(sp_table_function(&table, BASE + 0x50), BASE + 0x50);
    CHECK_EQ(sp_table_function(&table, BASE + 0x5f), BASE + 0x50);
    CHECK_EQ(sp_table_function(&table, BASE + 0x60), SP_NO_FUNCTION);
    CHECK_EQ(sp_table_function(&table, BASE + 0x13f), BASE + 0x100);
    CHECK_EQ(sp_table_function(&table, BASE + 0x140), BASE + 0x140);
    CHECK_EQ(sp_table_function(&table, BASE + 0x150), SP_NO_FUNCTION);
    CHECK_EQ(sp_table_function(&table, BASE), SP_NO_FUNCTION);
    CHECK_EQ(rule_at(UINT64_MAX)->cfa, SP_CFA_NONE);
}

static void test_remembered_state(void)
{
    start_section();
    put_cie("zR");
    begin_function(BASE, 0x40);
    put(0x41), put(0x0e), put(32), put(0x0a); /* remember */
    put(0x44), put(0x0e), put(8);
    put(0x41), put(0x0b); /* back to 32 */
    put(0x48), put(0x80 | SP_REG_FP), put(3);
    put(0x41), put(0xc0 | SP_REG_FP); /* as at first */
    end_entry();
    read_made();
    CHECK_CFA(BASE + 4, SP_CFA_SP, 32);
    CHECK_CFA(BASE + 5, SP_CFA_SP, 8);
    CHECK_CFA(BASE + 6, SP_CFA_SP, 32);
    CHECK_EQ(rule_at(BASE + 0xe)->fp_offset, -24);
    CHECK_EQ(rule_at(BASE + 0xf)->fp, SP_SAVED_NOT);
}

static void test_expressions(void)
{
    start_section();
    put_cie("zR");
    begin_function(BASE, 0x10); /* a function that aligns its stack: cfa = *(rbp - 8), rbp at rbp + 0 */
    put(0x0f), put(3), put(0x70 + SP_REG_FP), put(0x78), put(0x06);
    put(0x10), put(SP_REG_FP), put(2), put(0x70 + SP_REG_FP), put(0);
    end_entry();
    begin_function(BASE + 0x10, 0x10); /* in its prologue: another register */
    put(0x0c), put(10), put(0);
    end_entry();
    begin_function(BASE + 0x20, 0x10); /* anything else */
    put(0x0f), put(2), put(0x08), put(1);
    end_entry();
    begin_function(BASE + 0x30, 0x10); /* the outermost one */
    put(0x07), put(SP_REG_RETURN);
    end_entry();
    begin_function(BASE + 0x40, 0x10); /* the frame pointer is computed */
    put(0x16), put(SP_REG_FP), put(2), put(0x70 + SP_REG_FP), put(8);
    end_entry();
    begin_function(BASE + 0x60, 0x10); /* the return address is in a register (longjmp has it) */
    put(0x09), put(SP_REG_RETURN), put(1);
    end_entry();
    begin_function(BASE + 0x50, 0x10); /* an offset that no stack has */
    put(0x0c), put(SP_REG_SP), put(0xff), put(0xff), put(0xff), put(0xff), put(0xff), put(0x7f);
    end_entry();
    read_made();
    CHECK_CFA(BASE, SP_CFA_FP_DEREF, -8);
    CHECK_EQ(rule_at(BASE)->fp, SP_SAVED_FP);
    CHECK_EQ(rule_at(BASE)->fp_offset, 0);
    CHECK_EQ(rule_at(BASE + 0x10)->cfa, SP_CFA_STOP);
    CHECK_EQ(rule_at(BASE + 0x20)->cfa, SP_CFA_STOP);
    CHECK_EQ(rule_at(BASE + 0x30)->cfa, SP_CFA_END);
    CHECK_EQ(rule_at(BASE + 0x40)->fp, SP_SAVED_ELSEWHERE);
    CHECK_EQ(rule_at(BASE + 0x60)->cfa, SP_CFA_STOP);
    CHECK_EQ(rule_at(BASE + 0x50)->cfa, SP_CFA_STOP);
#if defined(__x86_64__)
    start_section();
    put_cie("zR");
    begin_function(BASE, 0x20);
    put(0x0f), put(11), put(0x77), put(8), put(0x80), put(0), put(0x3f), put(0x1a), put(0x3b), put(0x2a), put(0x33), put(0x24),
        put(0x22);
    end_entry();
    read_made();
    CHECK_CFA(BASE + 5, SP_CFA_PLT, 8);
    CHECK_EQ(rule_at(BASE + 5)->extra, 11);
    CHECK(!sp_rule_of_signal(rule_at(BASE + 5)));
#endif
}

static void test_signal_frame(void)
{
    start_section();
    made.cie = made.n;
    begin_entry();
    put4(0), put(1), put_text("zRS"), put(1), put(0x78), put(SP_REG_RETURN), put(1), put(0x1b);
    end_entry();
    begin_function(BASE, 0x10); /* as glibc writes it: all of it is in the kernel's frame */
    put(0x0f), put(4), put(0x70 + SP_REG_SP), put(0xa0), put(0x01), put(0x06);
    put(0x10), put(SP_REG_FP), put(3), put(0x70 + SP_REG_SP), put(0xf8), put(0x00);
    put(0x10), put(SP_REG_RETURN), put(3), put(0x70 + SP_REG_SP), put(0xa8), put(0x01);
    end_entry();
    read_made();
    CHECK_CFA(BASE, SP_CFA_SP_DEREF, 160);
    CHECK_EQ(rule_at(BASE)->fp, SP_SAVED_SP);
    CHECK_EQ(rule_at(BASE)->fp_offset, 120);
    CHECK_EQ(rule_at(BASE)->return_offset, 168);
    CHECK(sp_rule_of_signal(rule_at(BASE)));
}

static void test_overlap(void)
{
    start_section();
    put_cie("zR");
    begin_function(BASE, 0x100);
    end_entry();
    begin_function(BASE + 0x80, 0x100);
    put(0x0e), put(64);
    end_entry();
    read_made();
    CHECK_EQ(table.overlapping, 1);
    CHECK_CFA(BASE + 0x90, SP_CFA_SP, 8);
    CHECK_EQ(rule_at(BASE + 0x100)->cfa, SP_CFA_NONE);
}

static void test_what_is_not_understood(void)
{
    start_section();
    put_cie("eh"); /* of gcc 2 */
    begin_function(BASE, 0x10);
    end_entry();
    put_cie("zR");
    begin_function(BASE + 0x10, 0x10); /* an unknown instruction, after a known one */
    put(0x44), put(0x3f), put(0x0e), put(64);
    end_entry();
    begin_function(BASE + 0x20, 0x10); /* restores what it never remembered */
    put(0x0b);
    end_entry();
    begin_function(BASE + 0x30, 0x10); /* goes on behind its end */
    put(0x44), put(0x03), put(0xff), put(0xff);
    end_entry();
    begin_function(BASE + 0x40, 0x10);
    end_entry();
    read_made();
    CHECK_EQ(rule_at(BASE)->cfa, SP_CFA_NONE); /* not even where it is */
    CHECK_CFA(BASE + 0x10, SP_CFA_SP, 8);
    CHECK_EQ(rule_at(BASE + 0x14)->cfa, SP_CFA_STOP);
    CHECK_EQ(rule_at(BASE + 0x20)->cfa, SP_CFA_STOP);
    CHECK_EQ(rule_at(BASE + 0x34)->cfa, SP_CFA_STOP);
    CHECK_CFA(BASE + 0x40, SP_CFA_SP, 8);
}

static void test_truncated(void)
{
    start_section();
    put_cie("zR");
    begin_function(BASE, 0x10);
    put(0x41), put(0x0e), put(16);
    end_entry();
    begin_function(BASE + 0x10, 0x10);
    end_entry();
    put4(0);
    size_t whole = made.n;
    for (size_t n = 0; n < whole; n++) {
        CHECK_EQ(read_bytes(made.bytes, n, 0), SP_OK);
        CHECK(table.functions <= 2);
    }
    for (uint32_t bad = 0; bad < 3; bad++) { /* lengths and references to nowhere */
        uint32_t values[] = {0xfffffff0, 0x7fffffff, 0xffffffff};
        uint8_t kept[4];
        for (size_t at = 0; at + 4 <= whole; at += 4) {
            memcpy(kept, made.bytes + at, 4);
            memcpy(made.bytes + at, &values[bad], 4);
            CHECK_EQ(read_bytes(made.bytes, whole, 0), SP_OK);
            memcpy(made.bytes + at, kept, 4);
        }
    }
}

/* ---- this program's own, mutated */

static bool take_own(const struct sp_object_info *info, void *ctx)
{
    struct sp_cfi *cfi = ctx;
    uintptr_t at = info->unwind_header.start;
    uint64_t found = sp_cfi_find((const uint8_t *)at, info->unwind_header.end - at, at);
    *cfi = (struct sp_cfi){(const uint8_t *)(uintptr_t)found, info->unwind_limit - (uintptr_t)found, found, at};
    return false;
}

static void test_mutated(void)
{
    struct sp_cfi own;
    sp_objects_each(take_own, &own);
    size_t size = own.size < 4000 ? own.size : 4000;
    CHECK(size > 500);
    uint8_t bytes[4000];
    uint64_t random = 0x853c49e6748fea9bull;
    size_t used = atomic_load(&budget.used);
    sp_table_free(&table, &budget);
    used = atomic_load(&budget.used);
    for (int i = 0; i < 20000; i++) {
        memcpy(bytes, own.bytes, size);
        for (uint64_t k = check_random(&random) % 12; k > 0; k--) {
            bytes[check_random(&random) % size] = (uint8_t)(check_random(&random) >> (check_random(&random) % 8));
        }
        CHECK_EQ(read_bytes(bytes, check_random(&random) % 4 ? size : check_random(&random) % size,
                            check_random(&random) % 2 ? BASE : own.address),
                 SP_OK);
        for (uint32_t k = 1; k < table.n; k++) {
            CHECK(table.offsets[k - 1] < table.offsets[k]);
        }
        for (uint32_t k = 0; k < table.n; k++) {
            CHECK(table.rules[k] < rules.n && table.rules[k] != SP_RULE_OUTSIDE);
            CHECK_EQ(sp_table_find(&table, table.base + table.offsets[k]), table.rules[k]);
        }
        sp_table_free(&table, &budget);
        CHECK_EQ(atomic_load(&budget.used), used);
    }
}

static void test_many_rules(void)
{
    struct sp_rule rule = {.cfa = SP_CFA_SP};
    uint16_t first = sp_rules_number(&rules, &rule);
    for (int32_t i = 0; i < (int32_t)SP_MAX_RULES + 100; i++) {
        rule.cfa_offset = i * 8;
        uint16_t number = sp_rules_number(&rules, &rule);
        CHECK(number == SP_RULE_STOP || sp_rule_same(&rules.all[number], &rule));
    }
    CHECK_EQ(rules.n, SP_MAX_RULES);
    rule.cfa_offset = 0;
    CHECK_EQ(sp_rules_number(&rules, &rule), first);
    rule.cfa_offset = -8;
    CHECK_EQ(sp_rules_number(&rules, &rule), SP_RULE_STOP);
}

int main(void)
{
    CHECK_EQ(sp_rules_init(&rules, &budget), SP_OK);
    RUN(test_a_function);
    RUN(test_remembered_state);
    RUN(test_expressions);
    RUN(test_signal_frame);
    RUN(test_overlap);
    RUN(test_what_is_not_understood);
    RUN(test_truncated);
    RUN(test_mutated);
    RUN(test_many_rules);
    sp_table_free(&table, &budget);
    sp_rules_free(&rules, &budget);
    CHECK_EQ(atomic_load(&budget.used), 0);
    return check_report();
}
