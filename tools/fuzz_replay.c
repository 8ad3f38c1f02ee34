/*
 * fuzz_replay: runs a fuzz target over the files of its corpus, as a test.
 *
 * Arguments are folders or files. Each file's bytes lie in a block of exactly
 * their size, so that a sanitizer sees a read past the end. A fault ends the
 * process: the last name printed is the one that did it.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t passed;
static size_t failed;

static void replay_file(const char *path)
{
    _cleanup_(cleanup_fclose) FILE *file = fopen(path, "rbe");
    struct stat status;
    if (!file || fstat(fileno(file), &status) < 0) {
        printf("FAILED   %s: %s\n", path, strerror(errno));
        failed++;
        return;
    }
    size_t size = (size_t)status.st_size;
    _cleanup_(cleanup_free) uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, file) != size) {
        printf("FAILED   %s: cannot be read\n", path);
        failed++;
        return;
    }
    printf("running  %s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    passed++;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_visible, alphasort);
    if (count < 0) {
        replay_file(path);
        return;
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        replay_file(name);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("running  the empty input\n");
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    passed++;
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%zu passed, %zu failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
