/* test: the runner behind test.h. Names given as arguments run those tests alone. */
#include "base/test.h"

#include <sys/stat.h>

#define TESTS_MAX 512
#define PATH_SIZE 4096

static struct {
    const char *name;
    test_function *function;
} tests[TESTS_MAX];
static size_t test_count;
static size_t fault_count;
static bool skipped;

void test_register(const char *name, test_function *function)
{
    if (test_count == TESTS_MAX)
        abort();
    tests[test_count].name = name;
    tests[test_count++].function = function;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%s:%d: ", file, line);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    fault_count++;
}

void test_skip(const char *format, ...)
{
    const char *must_work = getenv("AM_MUST_WORK");
    va_list arguments;
    va_start(arguments, format);
    printf("skipped: ");
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    skipped = true;
    if (must_work && strcmp(must_work, "1") == 0)
        fault_count++;
}

void test_put(const char *folder, const char *path, const char *text)
{
    char full[PATH_SIZE];
    size_t len = strlen(text);
    snprintf(full, sizeof(full), "%s/%s", folder, path);
    for (char *c = full + strlen(folder) + 1; *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        (void)mkdir(full, 0755);
        *c = '/';
    }
    _cleanup_(cleanup_fclose) FILE *file = fopen(full, "we");
    for (size_t i = 0; file && i < len; i++)
        fputc(text[i] == '\'' ? '"' : text[i], file);
    if (!file || fflush(file) != 0 || fchmod(fileno(file), 0644) < 0)
        test_fail(__FILE__, __LINE__, "%s cannot be written: %s", full, strerror(errno));
}

static bool wanted(const char *name, int argc, char **argv)
{
    bool found = argc < 2;
    for (int i = 1; i < argc; i++)
        found = found || strcmp(argv[i], name) == 0;
    return found;
}

int main(int argc, char **argv)
{
    size_t passed = 0, failed = 0, skips = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < test_count; i++) {
        if (!wanted(tests[i].name, argc, argv))
            continue;
        fault_count = 0;
        skipped = false;
        tests[i].function();
        const char *result = fault_count ? "FAILED" : skipped ? "skipped" : "ok";
        printf("%-8s %s\n", result, tests[i].name);
        failed += fault_count > 0;
        skips += !fault_count && skipped;
        passed += !fault_count && !skipped;
    }
    printf("%zu passed, %zu failed, %zu skipped\n", passed, failed, skips);
    return failed > 0;
}
