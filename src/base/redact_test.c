#include "base/redact.h"

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/buf.h"
#include "base/redact_find.h"
#include "base/redact_test.h"
#include "base/test.h"

#define LINE_BYTES  ((size_t)1 << 20)
#define RULES_LEAST 60
#define FAKE_TOKEN                                                                                 \
    "ghp_"                                                                                         \
    "EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE1"

static void add_filler(struct buf *buf, size_t len)
{
    while (len--)
        buf_add_char(buf, "abc def,"[len % 8]);
}

static int count_match(void *context, const struct redact_match *match, struct err *err)
{
    (void)match;
    (void)err;
    ++*(size_t *)context;
    return 0;
}

/* First in this file: once loaded, the library stays. */
TEST(a_host_without_vectorscan_scans_little_and_never_passes_more)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct redact_scanner *scanner = NULL;
        struct buf large = BUF_INIT;
        struct err err = { 0 };
        size_t found = 0;
        vectorscan_is_missing = true;
        bool right = redact_scanner_new(&scanner, &err) == 0 &&
                     redact_scan(scanner, STR(FAKE_TOKEN), count_match, &found, &err) == 0 &&
                     found == 1;
        add_filler(&large, REDACT_SMALL_BYTES_MAX);
        int r = redact_scan(scanner, buf_str(&large), count_match, &found, &err);
        right = right && r == -EOPNOTSUPP && err.code == ERR_UNSUPPORTED &&
                strstr(err.cause, "libhs.so.5");
        _exit(right ? 0 : 1);
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

static void release_scanner(void);

/* One for all tests; it has had more to scan than it does by hand. */
static struct redact_scanner *scanner(void)
{
    static struct redact_scanner *one;
    struct err err = { 0 };
    if (!one) {
        struct buf large = BUF_INIT;
        size_t found = 0;
        add_filler(&large, REDACT_SMALL_BYTES_MAX + 1);
        if (redact_scanner_new(&one, &err) < 0 ||
            redact_scan(one, buf_str(&large), count_match, &found, &err) < 0) {
            printf("no scanner: %s\n", err.cause);
            exit(1);
        }
        buf_release(&large);
        atexit(release_scanner);
    }
    return one;
}

static void release_scanner(void)
{
    redact_scanner_free(scanner());
}

static int to_buf(void *context, struct str bytes, struct err *err)
{
    (void)err;
    return buf_add_str(context, bytes);
}

static struct redactor *redactor_to(struct buf *out)
{
    struct redactor *redactor = NULL;
    struct err err = { 0 };
    CHECK_INT(redactor_new(scanner(), to_buf, out, &redactor, &err), 0);
    return redactor;
}

static void feed(struct redactor *redactor, struct str bytes)
{
    struct err err = { 0 };
    /* in a block of its own size, so that a sanitizer sees a read past it */
    char *copy = malloc(bytes.len + 1);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    CHECK_INT(redactor_feed(redactor, str_make(copy, bytes.len), &err), 0);
    free(copy);
}

/* Appends the text masked, fed in pieces of `step` bytes; answers how many masks there are. */
static uint64_t mask_in_steps(struct buf *out, struct str text, size_t step)
{
    struct err err = { 0 };
    struct redactor *redactor = redactor_to(out);
    for (size_t at = 0; at < text.len; at += step)
        feed(redactor, str_make(text.ptr + at, text.len - at < step ? text.len - at : step));
    CHECK_INT(redactor_end(redactor, &err), 0);
    uint64_t masks = 0;
    for (size_t i = 0; i < redact_rule_count(); i++)
        masks += redactor_counts(redactor)[i];
    redactor_free(redactor);
    return masks;
}

static uint64_t mask(struct buf *out, struct str text)
{
    return mask_in_steps(out, text, text.len + 1);
}

static void check_masked(const char *text, const char *expected)
{
    struct buf out = BUF_INIT;
    mask(&out, str_from(text));
    CHECK_TEXT(out.data, expected);
    buf_release(&out);
}

/* The rules that an anchor wakes; those behind them are of literals. */
#define RULES REDACT_RULE_OWN

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static void add_example(struct buf *buf, const struct redact_rule *rule)
{
    buf_add_text(buf, or_empty(rule->before));
    buf_add_text(buf, rule->example);
    buf_add_text(buf, or_empty(rule->after));
}

static void add_masked_example(struct buf *buf, const struct redact_rule *rule)
{
    buf_addf(buf, "%s[redacted:%s]%s", or_empty(rule->before), redact_kind_name(rule->kind),
             or_empty(rule->after));
}

TEST(every_rule_masks_its_example_whole_and_by_its_own_name)
{
    CHECK(redact_rule_count() >= RULES_LEAST);
    for (size_t i = 0; i < RULES; i++) {
        const struct redact_rule *rule = redact_rule_at(i);
        struct buf text = BUF_INIT, expected = BUF_INIT, out = BUF_INIT;
        struct err err = { 0 };
        add_example(&text, rule);
        add_masked_example(&expected, rule);
        struct redactor *redactor = redactor_to(&out);
        feed(redactor, buf_str(&text));
        CHECK_INT(redactor_end(redactor, &err), 0);
        CHECK_TEXT(out.data, expected.data);
        for (size_t other = 0; other < redact_rule_count(); other++) {
            uint64_t count = redactor_counts(redactor)[other];
            if (count != (other == i))
                test_fail(__FILE__, __LINE__, "%s: %s masked %d", rule->id,
                          redact_rule_at(other)->id, (int)count);
        }
        CHECK_INT(redactor_count_of_kind(redactor, rule->kind), 1);
        redactor_free(redactor);
        buf_release(&text);
        buf_release(&expected);
        buf_release(&out);
    }
}

TEST(no_rule_finds_anything_in_a_counter_example)
{
    for (size_t i = 0; i < RULES; i++) {
        const struct redact_rule *rule = redact_rule_at(i);
        struct buf out = BUF_INIT;
        if (mask(&out, str_from(rule->counter_example)) != 0)
            test_fail(__FILE__, __LINE__, "%s: its counter-example becomes %s", rule->id, out.data);
        CHECK_TEXT(out.data, rule->counter_example);
        buf_release(&out);
    }
}

TEST(the_table_keeps_its_own_rules)
{
    for (size_t i = 0; i < RULES; i++) {
        const struct redact_rule *rule = redact_rule_at(i);
        int error;
        PCRE2_SIZE place;
        uint32_t behind = 0, groups = 0;
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)rule->pattern, PCRE2_ZERO_TERMINATED, 0,
                                         &error, &place, NULL);
        CHECK(code);
        if (!code)
            continue;
        pcre2_pattern_info(code, PCRE2_INFO_MAXLOOKBEHIND, &behind);
        pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
        pcre2_code_free(code);
        CHECK(behind + 3 <= REDACT_LOOK_BEHIND_BYTES); /* 3: the longest escape before it */
        CHECK(groups <= 1);
        CHECK(rule->anchors[0] != '|' && rule->anchors[0] && rule->anchors[1] != '|');
        for (const char *bar = rule->anchors; (bar = strchr(bar, '|')); bar++)
            CHECK(bar[1] && bar[2] && bar[1] != '|' && bar[2] != '|'); /* two bytes at least */
        CHECK((rule->before != NULL) >= (groups == 1));
        CHECK(rule->run < RUN_COUNT && rule->counter_example);
        for (size_t other = 0; other < i; other++)
            CHECK(strcmp(redact_rule_at(other)->id, rule->id) != 0);
        CHECK(rule->id[strspn(rule->id, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0');
    }
    CHECK(!redact_rule_at(redact_rule_count()));
}

TEST(no_mask_swallows_a_line_end)
{
    for (size_t i = 0; i < RULES; i++) {
        const struct redact_rule *rule = redact_rule_at(i);
        if (rule->flags & REDACT_LINES)
            continue;
        struct buf text = BUF_INIT;
        add_example(&text, rule);
        for (size_t at = 1; at < text.len; at++) {
            struct buf broken = BUF_INIT, out = BUF_INIT;
            buf_add(&broken, text.data, at);
            buf_add_text(&broken, "\r\n\001");
            buf_add_text(&broken, text.data + at);
            mask(&out, buf_str(&broken));
            if (!strstr(out.data, "\r\n\001"))
                test_fail(__FILE__, __LINE__, "%s: broken at %zu becomes %s", rule->id, at,
                          out.data);
            buf_release(&broken);
            buf_release(&out);
        }
        buf_release(&text);
    }
}

#define FAKE_KEY                                                                                   \
    "-----BEGIN "                                                                                  \
    "EC PRIVATE KEY-----\n"                                                                        \
    "MHcCAQEEIEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPL\n"                           \
    "EEXAMPLEEXAMPLEEXAMPLE==\n-----END "                                                          \
    "EC PRIVATE KEY-----\n"

static const char several_secrets[] =
    "first line\nexport GITHUB_TOKEN=" FAKE_TOKEN " # and more\n\n"
    "curl -u ada:correct-horse https://ada:correct-horse@example.com/a?b=c@d\r\n"
    "\rprogress 10%\rprogress " FAKE_TOKEN "\r-----BEGIN CERTIFICATE-----\n"
    "MIIBEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAM\n"
    "-----END CERTIFICATE-----\nkey: |\n" FAKE_KEY "after the key " FAKE_TOKEN FAKE_TOKEN
    " Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJFWEFNUExFIn0.EXAMPLEEXAMPLE1 x\n"
    "a line of nothing special that only makes the text longer than it would be without it\n"
    "the header -----BEGIN RSA PRIVATE KEY----- alone is none; the end has no line end: AKI"
    "AIOSFODNN7EXAMPLE";

TEST(every_way_to_cut_a_text_in_two_gives_the_same_output)
{
    struct str text = str_from(several_secrets);
    struct buf whole = BUF_INIT;
    struct err err = { 0 };
    CHECK_INT(mask(&whole, text), 8);
    CHECK(!strstr(whole.data, "EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE1"));
    CHECK(!strstr(whole.data, "correct-horse"));
    CHECK(strstr(whole.data, "key: |\n[redacted:private-key]\nafter the key [redacted:"));
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct buf out = BUF_INIT;
        struct redactor *redactor = redactor_to(&out);
        feed(redactor, str_make(text.ptr, cut));
        feed(redactor, str_from_offset(text, cut));
        CHECK_INT(redactor_end(redactor, &err), 0);
        CHECK_TEXT(out.data, whole.data);
        redactor_free(redactor);
        buf_release(&out);
    }
    for (size_t step = 1; step <= 40; step++) {
        struct buf out = BUF_INIT;
        CHECK_INT(mask_in_steps(&out, text, step), 8);
        CHECK_TEXT(out.data, whole.data);
        buf_release(&out);
    }
    buf_release(&whole);
}

/* A small generator with a fixed seed: tests repeat themselves. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void check_random_cuts(struct str text, uint32_t seed, size_t rounds, size_t largest)
{
    struct buf whole = BUF_INIT;
    struct err err = { 0 };
    mask(&whole, text);
    for (size_t round = 0; round < rounds; round++) {
        struct buf out = BUF_INIT;
        struct redactor *redactor = redactor_to(&out);
        for (size_t at = 0; at < text.len;) {
            size_t len = next_random(&seed) % largest;
            len = text.len - at < len ? text.len - at : len;
            feed(redactor, str_make(text.ptr + at, len));
            at += len;
        }
        CHECK_INT(redactor_end(redactor, &err), 0);
        CHECK(str_equal(buf_str(&out), buf_str(&whole)));
        redactor_free(redactor);
        buf_release(&out);
    }
    buf_release(&whole);
}

TEST(all_examples_in_one_text_are_masked_however_it_is_cut)
{
    struct buf text = BUF_INIT, expected = BUF_INIT, out = BUF_INIT;
    for (size_t i = 0; i < RULES; i++) {
        add_example(&text, redact_rule_at(i));
        buf_add_text(&text, " \n");
        add_masked_example(&expected, redact_rule_at(i));
        buf_add_text(&expected, " \n");
    }
    CHECK_INT(mask(&out, buf_str(&text)), RULES);
    CHECK_TEXT(out.data, expected.data);
    check_random_cuts(buf_str(&text), 1, 40, 3);
    check_random_cuts(buf_str(&text), 2, 100, 3000);
    check_random_cuts(buf_str(&text), 3, 100, 20000);
    buf_release(&text);
    buf_release(&expected);
    buf_release(&out);
}

TEST(random_bytes_give_the_same_output_however_they_are_cut)
{
    static const char alphabet[] = "://@:@-ABEGIN PRVTKYeyJ.sk-ghp_0123456789abcdef=\n\r\"\\\0$";
    uint32_t seed = 4;
    for (size_t round = 0; round < 12; round++) {
        struct buf text = BUF_INIT;
        for (size_t i = 0; i < 40000; i++)
            buf_add_char(&text, round % 2 ? (char)next_random(&seed)
                                          : alphabet[next_random(&seed) % (sizeof(alphabet) - 1)]);
        check_random_cuts(buf_str(&text), seed, 10, 6000);
        buf_release(&text);
    }
}

TEST(secrets_are_found_everywhere_in_a_line_of_a_megabyte)
{
    struct buf text = BUF_INIT, expected = BUF_INIT, out = BUF_INIT;
    uint64_t count = 0;
    for (size_t gap = 1; text.len < LINE_BYTES; gap = gap * 5 % 9973, count++) {
        add_filler(&text, gap);
        add_filler(&expected, gap);
        buf_add_text(&text, " " FAKE_TOKEN ",");
        buf_add_text(&expected, " [redacted:code-host-token],");
    }
    CHECK_INT(mask(&out, buf_str(&text)), count);
    CHECK(str_equal(buf_str(&out), buf_str(&expected)));
    static const size_t steps[] = { 1, 7, 1000, 4096, 65536, 262144, 300000 };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        buf_reset(&out);
        CHECK_INT(mask_in_steps(&out, buf_str(&text), steps[i]), count);
        CHECK(str_equal(buf_str(&out), buf_str(&expected)));
    }
    buf_release(&text);
    buf_release(&expected);
    buf_release(&out);
}

TEST(a_long_secret_is_one_mask_up_to_its_bound)
{
    static const size_t lens[] = { 2000, 40000, REDACT_SECRET_BYTES_MAX - 100,
                                   REDACT_SECRET_BYTES_MAX + 1000 };
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        for (size_t step = 100; step < 1000000; step *= 10) {
            struct buf text = BUF_INIT, out = BUF_INIT;
            buf_add_text(&text, "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJF");
            for (size_t len = 0; len < lens[i]; len++)
                buf_add_char(&text, "EXAMPLE"[len % 7]);
            buf_add_text(&text, ".EXAMPLE end");
            CHECK_INT(mask_in_steps(&out, buf_str(&text), step), 1);
            if (lens[i] < REDACT_SECRET_BYTES_MAX)
                CHECK_TEXT(out.data, "token [redacted:jwt] end");
            else
                CHECK(out.len > 900 && out.len < 1200);
            buf_release(&text);
            buf_release(&out);
        }
    }
}

TEST(whole_lines_pass_at_once_and_little_is_ever_held)
{
    struct buf out = BUF_INIT;
    struct redactor *redactor = redactor_to(&out);
    feed(redactor, STR("one line\n"));
    CHECK_TEXT(out.data, "one line\n");
    feed(redactor, STR("another, and a part\r"));
    CHECK_TEXT(out.data, "one line\nanother, and a part\r");
    feed(redactor, STR("password: "));
    CHECK_INT(out.len, 29);
    feed(redactor, STR("\n-----BEGIN "
                       "RSA PRIVATE KEY-----\n"));
    CHECK_TEXT(out.data + 29, "password: \n"); /* what could be a key waits */
    feed(redactor, STR("is how a key begins.\n"));
    CHECK_INT(out.len, 40);
    feed(redactor, STR("{ not with this\n"));
    CHECK_TEXT(out.data + 40, "-----BEGIN "
                              "RSA PRIVATE KEY-----\nis how a key begins.\n{ not with this\n");
    buf_reset(&out);
    uint64_t fed = 0;
    for (size_t i = 0; i < 3000; i++) {
        feed(redactor, STR("a line that never ends goes on and on, "));
        fed += 39;
        CHECK(out.len + REDACT_HOLD_BYTES_MAX + REDACT_HEAD_BYTES_MAX > fed);
    }
    redactor_free(redactor);
    buf_release(&out);
}

static int to_nothing(void *context, struct str bytes, struct err *err)
{
    (void)err;
    *(uint64_t *)context += bytes.len;
    return 0;
}

TEST(memory_does_not_grow_with_the_text)
{
    struct buf text = BUF_INIT;
    struct redactor *redactor = NULL;
    struct err err = { 0 };
    uint64_t given = 0;
    for (size_t i = 0; i < 1000; i++)
        buf_addf(&text, "%s https://ada:correct-horse%zu@example.com", several_secrets, i);
    CHECK_INT(redactor_new(scanner(), to_nothing, &given, &redactor, &err), 0);
    CHECK_INT(redactor_feed(redactor, buf_str(&text), &err), 0);
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < 20; i++)
        CHECK_INT(redactor_feed(redactor, buf_str(&text), &err), 0);
    CHECK_INT(mallinfo2().uordblks, before);
    CHECK_INT(redactor_end(redactor, &err), 0);
    CHECK(given > text.len);
    redactor_free(redactor);
    buf_release(&text);
}

TEST(what_overlaps_is_one_mask_named_by_the_special_rule)
{
    check_masked("https://ada:" FAKE_TOKEN "@example.com/",
                 "https://ada:[redacted:code-host-token]@example.com/");
    check_masked("Authorization: Bearer " FAKE_TOKEN "\n",
                 "Authorization: Bearer [redacted:code-host-token]\n");
    check_masked("Authorization: token ghp_"
                 "EXAMPLE1",
                 "Authorization: token [redacted:authorization]");
    check_masked("postgres://ada:AKI"
                 "AIOSFODNN7EXAMPLE-and-more@db/x",
                 "postgres://ada:[redacted:cloud-key]@db/x");
    check_masked("sk-"
                 "ant-api03-EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE-sk-"
                 "proj-EXAMPLE!",
                 "[redacted:model-key]!");
    check_masked(FAKE_TOKEN "." FAKE_TOKEN,
                 "[redacted:code-host-token].[redacted:code-host-token]");
}

TEST(placeholders_are_left_alone)
{
    static const char *const texts[] = {
        "https://ada:$PASSWORD@example.com",
        "https://ada:${PASSWORD:-none}@example.com",
        "https://ada:{{password}}@example.com",
        "https://ada:{password}@example.com",
        "https://ada:#{password}@example.com",
        "https://ada:<password>@example.com",
        "https://ada:********@example.com",
        "https://ada:***@example.com",
        "https://ada:xxxx@example.com",
        "https://%s:%s@%s/",
        "https://ada:%PASSWORD%@example.com",
        "https://ada:%(password)s@example.com",
        "https://ada@example.com:8080/a:b@c",
        "http://example.com:8080/~ada@home",
        "http://example.com:8080?mail=ada@example.com",
        "postgres://ada:[redacted:connection-password]@db/x",
        ("ghp_"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        "Authorization: Bearer $TOKEN",
        "Authorization: Bearer {{ token }}",
        "Authorization: Bearer <token>",
        "Authorization: Bearer ********************",
        "AccountKey=${KEY};",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        check_masked(texts[i], texts[i]);
    check_masked("https://ada:password@example.com",
                 "https://ada:[redacted:url-password]@example.com");
    check_masked("https://ada:p@ss:word@example.com",
                 "https://ada:[redacted:url-password]@example.com");
    check_masked("redis://:x@db", "redis://:[redacted:connection-password]@db");
}

TEST(words_that_only_contain_a_prefix_are_no_secrets)
{
    static const char key[] = "sk-"
                              "ant-api03-EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE";
    struct buf text = BUF_INIT;
    buf_addf(&text, "ta%s", key);
    check_masked(text.data, text.data);
    static const char *const before[] = { " ", "\"", "=",  "/",          "\\n",    "\\t", "%3D",
                                          "-", ":",  "\n", "\033[1;32m", "\033[m", "" };
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        struct buf expected = BUF_INIT;
        buf_reset(&text);
        buf_addf(&text, "%s%s", before[i], key);
        buf_addf(&expected, "%s[redacted:model-key]", before[i]);
        check_masked(text.data, expected.data);
        buf_release(&expected);
    }
    buf_release(&text);
}

TEST(private_keys_are_masked_from_header_to_end_line)
{
    static const char body[] = "MIIEXAMPLEEXAMPLEEXAMPLEEXAMPLE+/EXAMPLE";
    static const struct {
        const char *before, *open, *line_end, *close, *after;
    } keys[] = {
        { "",
          "-----BEGIN "
          "PRIVATE KEY-----",
          "\n",
          "-----END "
          "PRIVATE KEY-----",
          "\nx" },
        { "",
          "-----BEGIN "
          "OPENSSH PRIVATE KEY-----",
          "\r\n",
          "-----END "
          "OPENSSH PRIVATE KEY-----",
          "\r\nx" },
        { "",
          "-----BEGIN "
          "PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n",
          "\n",
          "=EXAM\n-----END "
          "PGP PRIVATE KEY BLOCK-----",
          "\nx" },
        { "{\"key\": \"",
          "-----BEGIN "
          "RSA PRIVATE KEY-----",
          "\\n",
          "-----END "
          "RSA PRIVATE KEY-----",
          "\\n\", \"x\": 1}" },
        { "k = '",
          "-----BEGIN "
          "EC PRIVATE KEY-----",
          "\\n' +\n    '",
          "-----END "
          "EC PRIVATE KEY-----",
          "';" },
        { "key: |\n    ",
          "-----BEGIN "
          "DSA PRIVATE KEY-----",
          "\n    ",
          "-----END "
          "DSA PRIVATE KEY-----",
          "\nx: y" },
        { "<key>",
          "-----BEGIN "
          "PRIVATE KEY-----",
          " ",
          "-----END "
          "PRIVATE KEY-----",
          "</key>" },
        { "",
          "-----BEGIN "
          "PRIVATE KEY-----",
          "\n", "", "{cut off}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        for (size_t lines = 1; lines <= 60; lines += 59) {
            struct buf text = BUF_INIT, expected = BUF_INIT;
            buf_addf(&text, "%s%s%s", keys[i].before, keys[i].open, keys[i].line_end);
            for (size_t line = 0; line < lines; line++)
                buf_addf(&text, "%s%s", body, keys[i].line_end);
            buf_addf(&text, "%s%s", keys[i].close, keys[i].after);
            buf_addf(&expected, "%s[redacted:private-key]%s", keys[i].before, keys[i].after);
            check_masked(text.data, expected.data);
            check_random_cuts(buf_str(&text), 5, 20, 70);
            buf_release(&text);
            buf_release(&expected);
        }
    }
    check_masked("-----BEGIN "
                 "RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----\n",
                 "-----BEGIN "
                 "RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----\n");
    check_masked("grep -r '-----BEGIN "
                 "PRIVATE KEY-----' . | wc -l",
                 "grep -r '-----BEGIN "
                 "PRIVATE KEY-----' . | wc -l");
}

TEST(private_keys_in_base64_are_masked_and_certificates_are_not)
{
    static const char *const headers[] = {
        /* "-----BEGIN X PRIVATE KEY-----", in base64 */
        "QUklWQVRFIEtFWS0tLS0tCk",
        "SU0EgUFJJVkFURSBLRVktLS0tLQp",
        "FQyBQUklWQVRFIEtFWS0tLS0tCk",
        "PUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0K",
        "FTkNSWVBURUQgUFJJVkFURSBLRVktLS0tLQp",
        "EU0EgUFJJVkFURSBLRVktLS0tLQp",
        "QR1AgUFJJVkFURSBLRVkgQkxPQ0stLS0tLQp",
    };
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        buf_reset(&text);
        buf_addf(&text,
                 "tls.key: LS0tLS1"
                 "CRUdJTiB%sEXAMPLEEXAMPLEEXAMPLEEXAMPLE==\n",
                 headers[i]);
        check_masked(text.data, "tls.key: [redacted:private-key]\n");
    }
    check_masked("tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUVEXAMPLEEXAMPLE=\n",
                 "tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUVEXAMPLEEXAMPLE=\n");
    buf_release(&text);
}

TEST(masking_what_is_masked_changes_nothing)
{
    struct buf once = BUF_INIT, twice = BUF_INIT, text = BUF_INIT;
    buf_add_text(&text, several_secrets);
    for (size_t i = 0; i < RULES; i++) {
        buf_add_char(&text, '\n');
        add_example(&text, redact_rule_at(i));
    }
    CHECK(mask(&once, buf_str(&text)) > 0);
    CHECK_INT(mask(&twice, buf_str(&once)), 0);
    CHECK_TEXT(twice.data, once.data);
    buf_release(&once);
    buf_release(&twice);
    buf_release(&text);
}

struct found {
    struct buf log;
    size_t left; /* visits until the visitor refuses */
};

static int note(void *context, const struct redact_match *match, struct err *err)
{
    struct found *found = context;
    if (found->left-- == 0)
        return err_set(err, ERR_DOCUMENT, "test", "enough");
    return buf_addf(&found->log, "%s %llu+%llu\n", match->rule->id,
                    (unsigned long long)match->offset, (unsigned long long)match->len);
}

static int note_string(void *context, size_t index, const struct redact_match *match,
                       struct err *err)
{
    struct found *found = context;
    buf_addf(&found->log, "%zu: ", index);
    return note(context, match, err);
}

TEST(scan_reports_where_each_secret_stands)
{
    struct found found = { .log = BUF_INIT, .left = SIZE_MAX };
    struct err err = { 0 };
    CHECK_INT(redact_scan(scanner(), STR("a https://ada:pass@example.com\n" FAKE_TOKEN), note,
                          &found, &err),
              0);
    CHECK_TEXT(found.log.data, "url-password 14+4\ngithub-personal-token 31+40\n");
    buf_reset(&found.log);
    CHECK_INT(redact_scan(scanner(), STR(""), note, &found, &err), 0);
    CHECK_INT(redact_scan(scanner(), STR("nothing here"), note, &found, &err), 0);
    CHECK_INT(found.log.len, 0);
    found.left = 1;
    CHECK_INT(redact_scan(scanner(), STR(FAKE_TOKEN " " FAKE_TOKEN), note, &found, &err), -EBADMSG);
    CHECK_TEXT(err.cause, "enough");
    buf_release(&found.log);
}

/* Pieces of the table, whole or cut short, in either case, with or without something between. */
static void add_pieces(struct buf *text, uint32_t *seed, size_t bytes)
{
    while (text->len < bytes) {
        const struct redact_rule *rule = redact_rule_at(next_random(seed) % RULES);
        size_t begin = text->len, choice = next_random(seed) % 8;
        if (choice < 3)
            add_example(text, rule);
        else
            buf_add_text(text, choice < 5 ? rule->anchors : rule->counter_example);
        if (choice % 2)
            buf_truncate(text, begin + next_random(seed) % (text->len - begin + 1));
        for (size_t i = begin; choice == 4 && i < text->len; i++)
            if (text->data[i] >= 'a' && text->data[i] <= 'z')
                text->data[i] ^= 0x20;
        if (next_random(seed) % 2)
            buf_add_char(text, " \n\"/:\\%_m"[next_random(seed) % 9]);
    }
}

TEST(little_is_scanned_without_vectorscan_and_just_alike)
{
    uint32_t seed = 7;
    for (size_t round = 0; round < 60; round++) {
        struct found by_hand = { .log = BUF_INIT, .left = SIZE_MAX };
        struct found found = { .log = BUF_INIT, .left = SIZE_MAX };
        struct redact_scanner *fresh = NULL;
        struct buf text = BUF_INIT;
        struct err err = { 0 };
        add_pieces(&text, &seed, round * 100);
        CHECK_INT(redact_scanner_new(&fresh, &err), 0);
        CHECK_INT(redact_scan(fresh, buf_str(&text), note, &by_hand, &err), 0);
        CHECK_INT(redact_scan(scanner(), buf_str(&text), note, &found, &err), 0);
        CHECK_TEXT(by_hand.log.data, found.log.data);
        redact_scanner_free(fresh);
        buf_release(&by_hand.log);
        buf_release(&found.log);
        buf_release(&text);
    }
}

TEST(strings_are_scanned_at_once_and_each_for_itself)
{
    struct buf large = BUF_INIT;
    add_filler(&large, 600000);
    buf_add_text(&large, " " FAKE_TOKEN " ");
    struct str strings[40] = {
        STR(""),
        STR(FAKE_TOKEN),
        STR(""),
        STR("ghp_EXAMPLEEXAMPLEEXAMPLE"),
        STR("EXAMPLEEXAMPLE12345"),
        STR("x " FAKE_TOKEN),
        buf_str(&large),
        STR("-----BEGIN "
            "PRIVATE KEY-----"),
        STR("MIIEXAMPLEEXAMPLEEXAMPLEEXAMPLE"),
        STR("https://ada:pass@example.com"),
    };
    for (size_t i = 10; i < ARRAY_LEN(strings); i++)
        strings[i] = str_make(large.data, 50000);
    strings[39] = STR(FAKE_TOKEN);
    struct found found = { .log = BUF_INIT, .left = SIZE_MAX };
    struct err err = { 0 };
    CHECK_INT(
        redact_scan_strings(scanner(), strings, ARRAY_LEN(strings), note_string, &found, &err), 0);
    CHECK_TEXT(found.log.data, "1: github-personal-token 0+40\n"
                               "5: github-personal-token 2+40\n"
                               "6: github-personal-token 600001+40\n"
                               "9: url-password 12+4\n"
                               "39: github-personal-token 0+40\n");
    found.left = 2;
    CHECK_INT(
        redact_scan_strings(scanner(), strings, ARRAY_LEN(strings), note_string, &found, &err),
        -EBADMSG);
    CHECK_INT(redact_scan_strings(scanner(), strings, 0, note_string, &found, &err), 0);
    buf_release(&found.log);
    buf_release(&large);
}

TEST(counts_go_on_from_text_to_text)
{
    struct buf out = BUF_INIT;
    struct err err = { 0 };
    struct redactor *redactor = redactor_to(&out);
    feed(redactor, STR(FAKE_TOKEN " https://ada:pass@example.com ghp_"));
    CHECK_INT(redactor_end(redactor, &err), 0);
    feed(redactor, STR("EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE1 " FAKE_TOKEN "\n"));
    CHECK_INT(redactor_end(redactor, &err), 0);
    CHECK_INT(redactor_end(redactor, &err), 0);
    CHECK_TEXT(out.data,
               "[redacted:code-host-token] https://ada:[redacted:url-password]@example.com ghp_"
               "EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE1 [redacted:code-host-token]\n");
    CHECK_INT(redactor_count_of_kind(redactor, REDACT_CODE_HOST_TOKEN), 2);
    CHECK_INT(redactor_count_of_kind(redactor, REDACT_URL_PASSWORD), 1);
    CHECK_INT(redactor_count_of_kind(redactor, REDACT_JWT), 0);
    redactor_free(redactor);
    buf_release(&out);
}

static int refuse(void *context, struct str bytes, struct err *err)
{
    size_t *left = context;
    if (bytes.len <= *left) {
        *left -= bytes.len;
        return 0;
    }
    return err_set_errno(err, EPIPE, "write", "the reader is gone");
}

TEST(a_sink_that_refuses_ends_the_feed_with_its_reason)
{
    for (size_t left = 0; left < 60; left++) {
        struct redactor *redactor = NULL;
        struct err err = { 0 };
        size_t room = left;
        CHECK_INT(redactor_new(scanner(), refuse, &room, &redactor, &err), 0);
        int r = redactor_feed(redactor, STR("a line\n" FAKE_TOKEN "\n and a part"), &err);
        if (r == 0)
            r = redactor_end(redactor, &err);
        CHECK_INT(r, left < 45 ? -EPIPE : 0);
        CHECK(left >= 45 || strstr(err.cause, "the reader is gone"));
        redactor_free(redactor);
    }
}

TEST(text_made_of_anchors_ends_soon)
{
    static const char *const pieces[] = {
        "://",
        "://a:",
        "://:@",
        "://a:b@",
        "curl ",
        "curl -u a:",
        "-----BEGIN ",
        "eyJ",
        "eyJ.eyJ.",
        "jdbc:",
        "jdbc:?password=",
        "jdbc:oracle:thin:a/",
        ";password=",
        "discord",
        "M.",
        "discordM.",
        "authorization bearer ",
        "machine a login a ",
        "sk-",
        "-----BEGIN "
        "PRIVATE KEY-----\n",
        "sig=",
        "-----BEGIN "
        "PRIVATE KEY-----AAAAAAAAAAAAAAAAAAAAAAAAA",
        "secret_access_key = ",
        ":_auth=",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJF.",
        "dp.st.a.",
        "xapp-1-",
        "AZDO",
        "AZDOJQQJ99Q~",
    };
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct buf text = BUF_INIT, out = BUF_INIT;
        while (text.len < LINE_BYTES / 2)
            buf_add_text(&text, pieces[i]);
        mask_in_steps(&out, buf_str(&text), 100000);
        CHECK(out.len > 0);
        buf_release(&text);
        buf_release(&out);
    }
}
