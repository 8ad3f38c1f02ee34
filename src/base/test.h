/*
 * test: what a unit test needs and no more.
 *
 * A test file defines functions with TEST(name) and nothing else; the
 * constructor of each registers it, and test.c's main runs them all and ends
 * with "N passed, N failed". A failed CHECK names its place and goes on, so
 * that one run shows every fault.
 */
#ifndef AM_BASE_TEST_H
#define AM_BASE_TEST_H

#include "base/base.h"
#include "base/str.h"

typedef void test_function(void);

void test_register(const char *name, test_function *function);
void test_fail(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4);
/* Marks the running test as skipped, with the reason; fatal where AM_MUST_WORK=1 is set. */
void test_skip(const char *format, ...) PRINTF_LIKE(1, 2);

/* Writes a file below a folder, with the folders in between; in the text, ' stands for ". */
void test_put(const char *folder, const char *path, const char *text);

#define TEST(name)                                                                                 \
    static void test_##name(void);                                                                 \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        test_register(#name, test_##name);                                                         \
    }                                                                                              \
    static void test_##name(void)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail(__FILE__, __LINE__, "%s", #condition);                                       \
    } while (0)

#define CHECK_INT(actual, expected)                                                                \
    do {                                                                                           \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                \
        if (actual_ != expected_)                                                                  \
            test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #actual, actual_,           \
                      expected_);                                                                  \
    } while (0)

#define CHECK_STR(actual, expected)                                                                \
    do {                                                                                           \
        struct str actual_ = (actual), expected_ = (expected);                                     \
        if (!str_equal(actual_, expected_))                                                        \
            test_fail(__FILE__, __LINE__, "%s is \"%.*s\", expected \"%.*s\"", #actual,            \
                      STR_ARG(actual_), STR_ARG(expected_));                                       \
    } while (0)

#define CHECK_TEXT(actual, expected) CHECK_STR(str_from(actual), str_from(expected))

#endif
