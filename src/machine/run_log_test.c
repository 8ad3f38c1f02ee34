#include "machine/run_log.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/test.h"

#define SECRET "ghp_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2"
#define MASK   "[redacted:code-host-token]"

struct kept {
    char folder[32];
    struct run_log *log;
    struct run_log_end end;
    struct buf text;
};

static void begin(struct kept *kept, int64_t bytes_max)
{
    *kept = (struct kept){ .folder = "/tmp/am-run-log-XXXXXX", .text = BUF_INIT };
    CHECK(mkdtemp(kept->folder) != NULL);
    CHECK_INT(run_log_new(kept->folder, bytes_max, &kept->log, NULL), 0);
}

/* What lies in the file now. */
static struct str read_now(struct kept *kept)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/" RUN_LOG_NAME, kept->folder);
    buf_reset(&kept->text);
    return file_read(path, &kept->text, NULL) < 0 ? STR("(none)") : buf_str(&kept->text);
}

static void finish(struct kept *kept)
{
    run_log_finish(kept->log, &kept->end);
}

static void release(struct kept *kept)
{
    run_log_free(kept->log);
    CHECK_INT(file_remove_tree(kept->folder, NULL), 0);
    buf_release(&kept->text);
}

TEST(nothing_is_made_of_a_run_that_prints_nothing)
{
    struct kept kept;
    begin(&kept, 1000);
    CHECK_INT(run_log_due(kept.log), 0);
    finish(&kept);
    CHECK_STR(read_now(&kept), STR("(none)"));
    CHECK(!kept.end.kept && !kept.end.truncated);
    release(&kept);
}

TEST(both_channels_are_kept_and_the_digest_is_of_the_file)
{
    struct kept kept;
    char digest[DIGEST_TEXT_SIZE];
    struct stat status;
    char path[64];
    begin(&kept, 1000);
    run_log_add(kept.log, 0, STR("out\nhalf "));
    run_log_add(kept.log, 1, STR("error\n"));
    run_log_add(kept.log, 0, STR("a line\n"));
    finish(&kept);
    CHECK_STR(read_now(&kept), STR("out\nerror\nhalf a line\n"));
    CHECK_INT(digest_text(buf_str(&kept.text), digest, NULL), 0);
    CHECK_TEXT(kept.end.digest, digest);
    CHECK(kept.end.kept && !kept.end.truncated);
    snprintf(path, sizeof(path), "%s/" RUN_LOG_NAME, kept.folder);
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    release(&kept);
}

TEST(a_secret_is_masked_however_it_comes)
{
    struct kept kept;
    begin(&kept, 1000);
    for (const char *c = SECRET "\n"; *c; c++)
        run_log_add(kept.log, 0, str_make(c, 1));
    run_log_add(kept.log, 1, STR("key: " SECRET));
    finish(&kept);
    CHECK_STR(read_now(&kept), STR(MASK "\nkey: " MASK));
    CHECK_INT(kept.end.masked[REDACT_CODE_HOST_TOKEN], 2);
    release(&kept);
}

TEST(a_line_waits_for_its_rest_and_no_longer)
{
    struct kept kept;
    begin(&kept, 1000);
    run_log_add(kept.log, 0, STR("whole\n"));
    CHECK_INT(run_log_due(kept.log), 0);
    run_log_add(kept.log, 0, STR("name? "));
    int64_t prompt = run_log_due(kept.log);
    run_log_flush(kept.log, prompt - 1);
    CHECK_STR(read_now(&kept), STR("whole\n"));
    run_log_flush(kept.log, prompt);
    CHECK_STR(read_now(&kept), STR("whole\nname? "));
    CHECK_INT(run_log_due(kept.log), 0);
    run_log_add(kept.log, 0, STR("ghp_Ab1C"));
    int64_t word = run_log_due(kept.log);
    CHECK(word >= prompt + 1000); /* in the middle of what may be a secret */
    finish(&kept);
    release(&kept);
}

TEST(it_is_no_longer_than_its_limit)
{
    struct kept kept;
    begin(&kept, 10);
    run_log_add(kept.log, 0, STR("12345678\nabc\n"));
    run_log_add(kept.log, 0, STR("more\n"));
    CHECK_INT(run_log_due(kept.log), 0);
    finish(&kept);
    CHECK_STR(read_now(&kept), STR("12345678\na"));
    CHECK(kept.end.kept && kept.end.truncated);
    release(&kept);
}

TEST(a_secret_across_the_limit_is_not_cut_open)
{
    struct kept kept;
    begin(&kept, 20);
    run_log_add(kept.log, 0, STR(SECRET "\n"));
    finish(&kept);
    CHECK_STR(read_now(&kept), str_make(MASK, 20));
    release(&kept);
}

TEST(a_log_that_cannot_be_written_is_cut_short)
{
    struct kept kept;
    begin(&kept, 1000);
    CHECK_INT(rmdir(kept.folder), 0);
    run_log_add(kept.log, 0, STR("lost\n"));
    finish(&kept);
    CHECK(!kept.end.kept && kept.end.truncated);
    release(&kept);
}
