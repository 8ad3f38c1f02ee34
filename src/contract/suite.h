/*
 * suite: the official JSON Schema test-suite's file format.
 *
 * A file is an array of groups: a schema, and tests with data and the verdict
 * that is expected. Each test is run both ways, fast and thorough; a
 * difference between them is a failure as well.
 */
#ifndef AM_CONTRACT_SUITE_H
#define AM_CONTRACT_SUITE_H

#include "base/base.h"
#include "base/err.h"

#define SUITE_REMOTES_URI "http://localhost:1234/"

struct suite_options {
    const char *remotes;  /* the folder that stands for SUITE_REMOTES_URI, or NULL */
    bool assert_formats;  /* files below optional/format assert them always */
    void (*failure)(void *context, const char *text); /* called for each failure */
    void *context;
};

struct suite_result {
    size_t passed, failed;
};

/* Runs a file, or every .json file below a folder. Adds to *result. */
int suite_run(const char *path, const struct suite_options *options, struct suite_result *result,
              struct err *err) MUST_CHECK;

#endif
