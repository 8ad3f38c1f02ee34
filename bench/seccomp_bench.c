/*
 * seccomp_bench: what the sandbox's filters cost, beside libseccomp's.
 *
 *     seccomp_bench
 *
 * Run in the source tree. Loading is timed in a fresh process each, the filters
 * in turn; so are an allowed call (which kernels since 5.11 do not filter at
 * all) and one whose arguments are looked at. libseccomp makes filters of the
 * same table, as it does by default and as a tree, without the checks on
 * arguments, which makes its task the smaller one; where libseccomp.so.2 is
 * missing its lines are. Prints for each {"filter": NAME, "instructions": N,
 * "make_us": N, "load_us": N, "allowed_ns": N, "checked_ns": N}, medians.
 */
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "machine/linux/seccomp_filters.h"

#define TABLE_PATH       "src/machine/linux/seccomp.table"
#define ROUNDS           200
#define CALLS            5000
#define FILTERS_MAX      8
#define INSTRUCTIONS_MAX 4096
#if defined(__x86_64__)
#define NUMBER_COLUMN 1
#else
#define NUMBER_COLUMN 2
#endif

/* Of libseccomp's header, which need not be there. */
#define OPTIMIZE_ATTRIBUTE 8
#define OPTIMIZE_TREE      2

struct measured {
    double load_us, allowed_ns, checked_ns;
};

struct filter {
    const char *name;
    double make_us;
    struct sock_fprog program;
    struct measured rounds[ROUNDS];
};

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* ---- libseccomp ---- */

static uint32_t answer_value(const char *answer)
{
    return strcmp(answer, "EPERM") == 0    ? SECCOMP_RET_ERRNO | EPERM
           : strcmp(answer, "ENOSYS") == 0 ? SECCOMP_RET_ERRNO | ENOSYS
                                           : SECCOMP_RET_ALLOW;
}

static int add_rows(void *library, void *context)
{
    int (*add)(void *, uint32_t, int, unsigned, const void *) =
        (int (*)(void *, uint32_t, int, unsigned, const void *))dlsym(library,
                                                                      "seccomp_rule_add_array");
    _cleanup_(cleanup_fclose) FILE *table = fopen(TABLE_PATH, "re");
    char line[256];
    if (!add || !table)
        return -ENOENT;
    while (fgets(line, sizeof(line), table)) {
        char *words[4] = { 0 }, *rest = line, *word;
        bool is_row = line[0] != '#' && line[0] != ' ' && strncmp(line, "check ", 6) != 0;
        for (size_t n = 0; is_row && n < ARRAY_LEN(words) && (word = strsep(&rest, " \n"));)
            if (word[0])
                words[n++] = word;
        if (!words[3] || words[NUMBER_COLUMN][0] == '-')
            continue;
        uint32_t value = answer_value(words[3]);
        int number = (int)strtol(words[NUMBER_COLUMN], NULL, 10);
        if (value != (SECCOMP_RET_ERRNO | ENOSYS) && add(context, value, number, 0, NULL) < 0)
            return -EINVAL;
    }
    return 0;
}

static bool make_by_library(const char *name, bool as_tree, struct filter *filter)
{
    static struct sock_filter instructions[2][INSTRUCTIONS_MAX];
    void *library = dlopen("libseccomp.so.2", RTLD_NOW);
    if (!library)
        return false;
    void *(*init)(uint32_t) = (void *(*)(uint32_t))dlsym(library, "seccomp_init");
    int (*attribute)(void *, int, uint32_t) =
        (int (*)(void *, int, uint32_t))dlsym(library, "seccomp_attr_set");
    int (*export_bpf)(void *, int) = (int (*)(void *, int))dlsym(library, "seccomp_export_bpf");
    _cleanup_(cleanup_close) int fd = memfd_create("filter", MFD_CLOEXEC);
    double start = now_us();
    void *context = init ? init(SECCOMP_RET_ERRNO | ENOSYS) : NULL;
    if (!context || !attribute || !export_bpf)
        return false;
    if (as_tree && attribute(context, OPTIMIZE_ATTRIBUTE, OPTIMIZE_TREE) < 0)
        return false;
    if (add_rows(library, context) < 0 || export_bpf(context, fd) < 0)
        return false;
    filter->make_us = now_us() - start;
    ssize_t bytes = pread(fd, instructions[as_tree], sizeof(instructions[0]), 0);
    filter->name = name;
    filter->program = (struct sock_fprog){
        .len = (unsigned short)((size_t)bytes / sizeof(struct sock_filter)),
        .filter = instructions[as_tree],
    };
    return bytes > 0;
}

/* ---- measuring ---- */

static struct measured measure(const struct sock_fprog *program)
{
    struct measured result = { 0 };
    double start = now_us();
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) < 0)
        return result;
    result.load_us = now_us() - start;
    start = now_us();
    for (int i = 0; i < CALLS; i++)
        syscall(SYS_getppid);
    result.allowed_ns = (now_us() - start) * 1e3 / CALLS;
    start = now_us();
    for (int i = 0; i < CALLS; i++)
        syscall(SYS_ioctl, -1L, (long)TIOCGWINSZ, NULL);
    result.checked_ns = (now_us() - start) * 1e3 / CALLS;
    return result;
}

static void measure_in_child(struct filter *filter, size_t round, struct measured *shared)
{
    pid_t pid = fork();
    if (pid == 0) {
        *shared = measure(&filter->program);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    filter->rounds[round] = *shared;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const struct filter *filter, size_t offset)
{
    double values[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++)
        memcpy(&values[i], (const char *)&filter->rounds[i] + offset, sizeof(double));
    qsort(values, ROUNDS, sizeof(double), by_value);
    return values[ROUNDS / 2];
}

int main(void)
{
    static struct filter filters[FILTERS_MAX];
    static const char *const names[] = { "default", "no-sockets", "process" };
    size_t count = 0;
    for (size_t i = 0; i < SECCOMP_KIND_COUNT; i++)
        filters[count++] = (struct filter){
            .name = names[i],
            .program = { seccomp_filters[i].count,
                         (struct sock_filter *)seccomp_filters[i].instructions },
        };
    count += make_by_library("libseccomp", false, &filters[count]);
    count += make_by_library("libseccomp, tree", true, &filters[count]);
    struct measured *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return 1;
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            measure_in_child(&filters[i], round, shared);
    for (size_t i = 0; i < count; i++)
        printf("{\"filter\": \"%s\", \"instructions\": %d, \"make_us\": %.0f, \"load_us\": %.1f, "
               "\"allowed_ns\": %.0f, \"checked_ns\": %.0f}\n",
               filters[i].name, filters[i].program.len, filters[i].make_us,
               median(&filters[i], offsetof(struct measured, load_us)),
               median(&filters[i], offsetof(struct measured, allowed_ns)),
               median(&filters[i], offsetof(struct measured, checked_ns)));
    return 0;
}
