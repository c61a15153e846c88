/* All that a C test needs: CHECK in test functions, RUN for each of them in main(), and `return check_report()`.
 *
 * The last line says "N passed, N failed" (test functions, not checks); the exit code is 0 only if none failed. */
#ifndef SP_TESTS_CHECK_H
#define SP_TESTS_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int check_passed, check_failed;
static int check_wrong; /* failed checks of the test function that runs now */

/* A loop over a million inputs must not print a million lines. */
#define CHECK_PRINTED_MAX 10

#define CHECK(condition)                                                                                                           \
    do {                                                                                                                           \
        if (!(condition) && ++check_wrong <= CHECK_PRINTED_MAX) {                                                                  \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                                 \
        }                                                                                                                          \
    } while (0)

#define CHECK_EQ(got, want)                                                                                                        \
    do {                                                                                                                           \
        int64_t check_got = (int64_t)(got), check_want = (int64_t)(want);                                                          \
        if (check_got != check_want && ++check_wrong <= CHECK_PRINTED_MAX) {                                                       \
            printf("%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", __FILE__, __LINE__, #got, check_got, check_want);                \
        }                                                                                                                          \
    } while (0)

#define RUN(test)                                                                                                                  \
    do {                                                                                                                           \
        check_wrong = 0;                                                                                                           \
        test();                                                                                                                    \
        if (check_wrong == 0) {                                                                                                    \
            check_passed++;                                                                                                        \
        } else {                                                                                                                   \
            check_failed++;                                                                                                        \
            printf("%s: %d checks failed\n", #test, check_wrong);                                                                  \
        }                                                                                                                          \
        fflush(stdout);                                                                                                            \
    } while (0)

static int check_report(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A fixed sequence (xorshift64*), so that a failure can be repeated. */
static inline uint64_t check_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

#endif
