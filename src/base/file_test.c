#include "base/file.h"
#include "base/test.h"

#include <sys/stat.h>

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    if (file) {
        fputs(text, file);
        fclose(file);
    }
}

static int remember(void *context, const char *path, struct err *err)
{
    (void)err;
    buf_addf(context, "%s;", strrchr(path, '/') + 1);
    return 0;
}

TEST(file_read_is_whole_and_bounded)
{
    char folder[] = "/tmp/am-file-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    write_file(folder, "a", "0123456789");
    char path[512];
    snprintf(path, sizeof(path), "%s/a", folder);
    struct err err = { 0 };
    struct buf whole = BUF_INIT_LIMIT(10), small = BUF_INIT_LIMIT(9);
    CHECK_INT(file_read(path, &whole, &err), 0);
    CHECK_STR(buf_str(&whole), STR("0123456789"));
    CHECK(file_read(path, &small, &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    CHECK(file_read(folder, &small, &err) < 0);
    unlink(path);
    CHECK_INT(file_read(path, &whole, &err), -ENOENT);
    CHECK_INT(err.code, ERR_NOT_FOUND);
    buf_release(&whole);
    buf_release(&small);
    rmdir(folder);
}

TEST(file_read_takes_streams)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    CHECK_INT(write(ends[1], "piped", 5), 5);
    close(ends[1]);
    struct buf text = BUF_INIT;
    CHECK_INT(file_read_fd(ends[0], "a pipe", &text, NULL), 0);
    CHECK_STR(buf_str(&text), STR("piped"));
    close(ends[0]);
    buf_release(&text);
}

TEST(file_walk_goes_by_name_and_passes_over_hidden_files_and_links)
{
    char folder[] = "/tmp/am-walk-XXXXXX", inner[512], link_path[512], path[512];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(inner, sizeof(inner), "%s/m", folder);
    snprintf(link_path, sizeof(link_path), "%s/z", folder);
    CHECK_INT(mkdir(inner, 0700), 0);
    write_file(folder, "b", "");
    write_file(folder, "a", "");
    write_file(folder, ".hidden", "");
    write_file(inner, "c", "");
    CHECK_INT(symlink("/etc", link_path), 0);
    struct buf seen = BUF_INIT;
    CHECK_INT(file_walk(folder, remember, &seen, NULL), 0);
    CHECK_STR(buf_str(&seen), STR("a;b;c;"));
    struct err err = { 0 };
    snprintf(path, sizeof(path), "%s/absent", folder);
    CHECK_INT(file_walk(path, remember, &seen, &err), -ENOENT);
    CHECK_INT(err.code, ERR_NOT_FOUND);
    const char *names[] = { "b", "a", ".hidden", "m/c", "z" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(inner);
    rmdir(folder);
    buf_release(&seen);
}

TEST(folders_are_made_for_the_user_alone)
{
    char folder[] = "/tmp/am-file-XXXXXX", path[64];
    struct stat status;
    struct err err = { 0 };
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/one//two/", folder);
    CHECK_INT(file_make_folder(path, &err), 0);
    CHECK_INT(file_make_folder(path, &err), 0);
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(status.st_mode & 07777, 0700);
    CHECK_INT(rmdir(path), 0);
    *strstr(path, "//two") = '\0';
    CHECK_INT(rmdir(path), 0);
    write_file(folder, "one", "in the way");
    snprintf(path, sizeof(path), "%s/one//two/", folder);
    CHECK_INT(file_make_folder(path, &err), -ENOTDIR);
    CHECK(strstr(err.cause, "/one") != NULL);
    *strstr(path, "//two") = '\0';
    CHECK_INT(unlink(path), 0);
    CHECK_INT(rmdir(folder), 0);
}

/* Opens one folder more each time: no path is long enough for what is made here. */
static void make_deep(const char *path, unsigned levels)
{
    int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < levels && at >= 0; i++) {
        CHECK_INT(mkdirat(at, "d", 0700), 0);
        int inner = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK_INT(fchmod(at, i % 10 ? 0700 : 0), 0); /* closed, as by one who wants it to stay */
        close(at);
        at = inner;
    }
    CHECK(at >= 0);
    if (at >= 0)
        close(at);
}

TEST(file_remove_tree_removes_what_is_made_to_stay)
{
    char folder[] = "/tmp/am-remove-XXXXXX", path[512];
    struct err err = { 0 };
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/beside", folder);
    CHECK_INT(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/tree", folder);
    CHECK_INT(mkdir(path, 0700), 0);
    make_deep(path, 300);
    CHECK_INT(chmod(path, 0700), 0);   /* it was closed as well */
    for (unsigned i = 0; i < 8; i++) { /* names that removing itself would take */
        snprintf(path, sizeof(path), "%s/tree/.moved-%u", folder, i);
        CHECK_INT(mkdir(path, 0700), 0);
        snprintf(path, sizeof(path), "%s/tree/.moved-%u/full", folder, i);
        CHECK_INT(mkdir(path, 0500), 0);
    }
    snprintf(path, sizeof(path), "%s/tree/link", folder);
    CHECK_INT(symlink("../beside", path), 0);
    snprintf(path, sizeof(path), "%s/tree", folder);
    CHECK_INT(file_remove_tree(path, &err), 0);
    CHECK(access(path, F_OK) < 0);
    CHECK_INT(file_remove_tree(path, &err), 0); /* one that is not there is removed */
    snprintf(path, sizeof(path), "%s/beside", folder);
    CHECK_INT(rmdir(path), 0); /* no link was followed */
    CHECK_INT(rmdir(folder), 0);
}

TEST(a_folder_without_a_name_is_an_error)
{
    struct err err = { 0 };
    CHECK_INT(file_make_folder("", &err), -ENOENT);
    CHECK_INT(err.code, ERR_NOT_FOUND);
}
