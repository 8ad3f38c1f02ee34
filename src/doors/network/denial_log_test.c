#include "doors/network/denial_log.h"

#include <sys/mman.h>

#include "base/json.h"
#include "base/test.h"
#include "contract/rules.h"

/* The number of lines, each of which is a document; the last count that stands on each. */
static size_t read_lines(int fd, uint64_t counts[8])
{
    char text[4096];
    ssize_t len = pread(fd, text, sizeof(text), 0);
    size_t lines = 0;
    CHECK(len > 0);
    for (char *line = text, *end; line < text + len; line = end + 1, lines++) {
        yyjson_doc *doc = NULL;
        end = memchr(line, '\n', (size_t)(text + len - line));
        CHECK(end);
        CHECK_INT(json_read(str_make(line, (size_t)(end - line)), &json_limits_default, &doc, NULL),
                  0);
        counts[lines] = count_of(member(yyjson_doc_get_root(doc), "count"));
        CHECK(text_of(member(yyjson_doc_get_root(doc), "lastAt")).len > 0);
        yyjson_doc_free(doc);
    }
    return lines;
}

TEST(what_is_denied_again_changes_its_line_in_place)
{
    struct denial_log log = { .fd = memfd_create("denials", MFD_CLOEXEC) };
    struct use_entry entries[2] = { { .target = { .name = "a\"b.example", .port = 443 },
                                      .count = 1 },
                                    { .target = { .name = "c.example" }, .count = 1 } };
    struct verdict verdict = { .answer = ANSWER_DENY, .rule = STR("nothing-leaves") };
    uint64_t counts[8];
    snprintf(verdict.smallest_change, sizeof(verdict.smallest_change), "--allow \"it\"");
    denial_log_add(&log, &entries[0], &verdict);
    denial_log_add(&log, &entries[1], &verdict);
    CHECK_INT(read_lines(log.fd, counts), 2);
    off_t size = log.end;
    entries[0].count = UINT64_MAX; /* more than there is room for is written as the most */
    entries[1].count = 7;
    for (size_t i = 0; i < 2; i++)
        denial_log_repeat(&log, &entries[i]);
    CHECK_INT(read_lines(log.fd, counts), 2);
    CHECK_INT(lseek(log.fd, 0, SEEK_END), size);
    CHECK_INT(counts[0], 999999999999);
    CHECK_INT(counts[1], 7);
    close(log.fd);
}

TEST(without_a_file_nothing_is_written)
{
    struct denial_log log = { .fd = -1 };
    struct use_entry entry = { .count = 1 };
    struct verdict verdict = { .answer = ANSWER_DENY };
    denial_log_add(&log, &entry, &verdict);
    denial_log_repeat(&log, &entry);
    CHECK_INT(entry.log_at, 0);
}
