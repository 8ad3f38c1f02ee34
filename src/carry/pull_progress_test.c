#include "carry/pull_progress.h"

#include "base/test.h"

#define LAYER(digest, total, done)                                                                 \
    "{\"status\":\"pulling\",\"digest\":\"sha256:" digest "\",\"total\":" total                    \
    ",\"completed\":" done "}\n"
#define ALL                                                                                        \
    "{\"status\":\"pulling manifest\"}\n" LAYER("aa", "1000", "400") LAYER("bb", "50", "0")        \
        LAYER("aa", "1000", "1000")                                                                \
            LAYER("bb", "50",                                                                      \
                  "50") "{\"status\":\"verifying sha256 digest\"}\n{\"status\":\"success\"}\n"

TEST(a_download_is_followed_however_it_is_cut)
{
    for (size_t step = 1; step < 60; step += 7) {
        struct pull_progress progress;
        struct str all = STR(ALL);
        pull_progress_init(&progress);
        for (size_t at = 0; at < all.len; at += step) {
            size_t len = all.len - at < step ? all.len - at : step;
            CHECK_INT(pull_progress_feed(&progress, str_make(all.ptr + at, len)), 0);
        }
        CHECK_INT(progress.count, 2);
        CHECK_INT(progress.total_bytes, 1050);
        CHECK_INT(progress.completed_bytes, 1050);
        CHECK_INT(progress.first_bytes, 400);
        CHECK(progress.is_verified && progress.is_whole);
        pull_progress_release(&progress);
    }
}

TEST(what_is_not_verified_is_not_whole)
{
    struct pull_progress progress;
    pull_progress_init(&progress);
    CHECK_INT(
        pull_progress_feed(&progress, STR(LAYER("aa", "10", "10") "{\"status\":\"success\"}\n")),
        0);
    CHECK(!progress.is_whole);
    CHECK_INT(pull_progress_feed(&progress, STR("{\"error\":\"digest mismatch\"}\n")), 0);
    CHECK_TEXT(progress.error, "digest mismatch");
    CHECK_INT(pull_progress_feed(&progress, STR("<html>\n")), -EBADMSG);
    pull_progress_release(&progress);
}

TEST(a_line_has_a_bound)
{
    struct pull_progress progress;
    struct str piece = STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    int r = 0;
    pull_progress_init(&progress);
    for (size_t i = 0; i <= PULL_LINE_MAX / piece.len && r == 0; i++)
        r = pull_progress_feed(&progress, piece);
    CHECK_INT(r, -EBADMSG);
    pull_progress_release(&progress);
}
