#include "doctor/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>

#include "base/json.h"
#include "base/lazy.h"
#include "base/test.h"
#include "doctor/bundle_text.h"

#define TOKEN                                                                                      \
    "ghp"                                                                                          \
    "_EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE1"

/* What hostile archives are made with. */
#define ARCHIVE_FUNCTIONS(X)                                                                       \
    X(archive_write_new)                                                                           \
    X(archive_write_set_format_pax)                                                                \
    X(archive_write_add_filter_none)                                                               \
    X(archive_write_open_memory)                                                                   \
    X(archive_write_header)                                                                        \
    X(archive_write_data)                                                                          \
    X(archive_write_free)                                                                          \
    X(archive_entry_new)                                                                           \
    X(archive_entry_free)                                                                          \
    X(archive_entry_set_pathname)                                                                  \
    X(archive_entry_set_filetype)                                                                  \
    X(archive_entry_set_perm)                                                                      \
    X(archive_entry_set_size)                                                                      \
    X(archive_entry_set_symlink)                                                                   \
    X(archive_entry_set_hardlink)                                                                  \
    X(archive_entry_sparse_add_entry)
LAZY_LIBRARY(tar, "libarchive.so.13", ARCHIVE_FUNCTIONS)
#define ZSTD_FUNCTIONS(X)                                                                          \
    X(ZSTD_compress)                                                                               \
    X(ZSTD_compressBound)
LAZY_LIBRARY(zstd, "libzstd.so.1", ZSTD_FUNCTIONS)

struct scene {
    struct redact_scanner *scanner;
    struct pseudonyms *pseudonyms;
    struct bundle *bundle;
};

static void scene_open(struct scene *scene, size_t max_bytes)
{
    CHECK_INT(redact_scanner_new(&scene->scanner, NULL), 0);
    CHECK_INT(pseudonyms_new("/nonexistent", false, &scene->pseudonyms, NULL), 0);
    CHECK_INT(pseudonyms_add(scene->pseudonyms, PSEUDONYM_USER, STR("ada"), NULL), 0);
    CHECK_INT(bundle_new(scene->scanner, scene->pseudonyms, max_bytes, &scene->bundle, NULL), 0);
}

static void scene_close(struct scene *scene)
{
    bundle_free(scene->bundle);
    pseudonyms_free(scene->pseudonyms);
    redact_scanner_free(scene->scanner);
}

static int add_json(struct scene *scene, const char *path, const char *text, bool no_words,
                    struct err *err)
{
    yyjson_doc *doc = NULL;
    CHECK_INT(json_read(str_from(text), &json_limits_default, &doc, NULL), 0);
    int r = bundle_add_json(scene->bundle, BUNDLE_OPERATIONS, path, yyjson_doc_get_root(doc),
                            no_words, err);
    yyjson_doc_free(doc);
    return r;
}

static void pack(struct scene *scene, struct buf *whole, char digest[DIGEST_TEXT_SIZE])
{
    struct buf archive = BUF_INIT;
    struct err err = { 0 };
    CHECK_INT(bundle_pack_manifest(STR("{\"a\":1}"), whole, &err), 0);
    CHECK_INT(bundle_pack(scene->bundle, &archive, digest, &err), 0);
    buf_add_str(whole, buf_str(&archive));
    CHECK_TEXT(err.cause, "");
    buf_release(&archive);
}

TEST(what_goes_in_is_masked_counted_sorted_and_comes_out_again)
{
    struct scene scene;
    struct buf whole = BUF_INIT;
    struct bundle_view view;
    char digest[DIGEST_TEXT_SIZE];
    char *environment[] = { (char *)"HOME=/home/ada", (char *)"LANG=C", (char *)"X_TOKEN=abc",
                            NULL };
    scene_open(&scene, BUNDLE_BYTES_DEFAULT);
    CHECK_INT(add_json(&scene, "b/one.json",
                       "{\"id\":\"urn:srcos:user:ada\",\"reason\":\"x\",\"t\":\"" TOKEN "\"}", true,
                       NULL),
              0);
    CHECK_INT(bundle_add_environment(scene.bundle, "environment.txt", environment, NULL), 0);
    CHECK_INT(bundle_add_named(scene.bundle, "a/named.log", STR("say " TOKEN "\nby ada\n"),
                               STR("urn:srcos:user:x"), NULL),
              0);
    pack(&scene, &whole, digest);
    CHECK_INT(bundle_open(buf_str(&whole), &view, NULL), 0);
    CHECK_INT(view.entry_count, 4);
    CHECK_TEXT(view.entries[0].path, BUNDLE_MANIFEST);
    CHECK_TEXT(view.entries[1].path, "a/named.log");
    CHECK_TEXT(view.entries[2].path, "b/one.json");
    CHECK_TEXT(view.entries[3].path, "environment.txt");
    CHECK_TEXT(view.archive_digest, digest);
    for (size_t i = 0; i < 3; i++)
        CHECK_TEXT(bundle_file_at(scene.bundle, i)->digest, view.entries[i + 1].digest);
    const struct bundle_file *named = bundle_file_at(scene.bundle, 0);
    const struct bundle_file *one = bundle_file_at(scene.bundle, 1);
    CHECK(named->raw && named->removed[REDACT_CODE_HOST_TOKEN] == 1);
    CHECK_INT(named->removed[REMOVED_USER_NAME], 1);
    CHECK_INT(one->removed[REDACT_CODE_HOST_TOKEN], 1);
    CHECK_INT(one->removed[REMOVED_FREE_TEXT], 1);
    CHECK_INT(one->removed[REMOVED_USER_NAME], 1);
    CHECK_INT(bundle_file_at(scene.bundle, 2)->removed[REMOVED_ENVIRONMENT], 2);
    bundle_close(&view);
    buf_release(&whole);
    scene_close(&scene);
}

TEST(the_same_files_are_the_same_bytes_in_whatever_order_they_came)
{
    static const char *const orders[][2] = { { "a.json", "b.json" }, { "b.json", "a.json" } };
    struct buf packed[2] = { BUF_INIT, BUF_INIT };
    char digests[2][DIGEST_TEXT_SIZE];
    for (size_t i = 0; i < 2; i++) {
        struct scene scene;
        scene_open(&scene, BUNDLE_BYTES_DEFAULT);
        for (size_t k = 0; k < 2; k++)
            CHECK_INT(add_json(&scene, orders[i][k], "[1,2,3]", false, NULL), 0);
        pack(&scene, &packed[i], digests[i]);
        scene_close(&scene);
    }
    CHECK_TEXT(digests[0], digests[1]);
    CHECK(str_equal(buf_str(&packed[0]), buf_str(&packed[1])));
    buf_release(&packed[0]);
    buf_release(&packed[1]);
}

TEST(a_bundle_never_takes_more_than_its_limit)
{
    struct scene scene;
    struct err err = { 0 };
    scene_open(&scene, 100);
    CHECK_INT(add_json(&scene, "small.json", "[1]", false, NULL), 0);
    CHECK(add_json(&scene, "large.json",
                   "[\"0123456789012345678901234567890123456789012345678901234567890123456789"
                   "0123456789012345678901234567890123456789\"]",
                   false, &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    CHECK_INT(bundle_file_count(scene.bundle), 1);
    CHECK_INT(add_json(&scene, "small.json", "[1]", false, &err), -EEXIST);
    scene_close(&scene);
}

TEST(a_path_carries_nothing_in)
{
    struct scene scene;
    scene_open(&scene, BUNDLE_BYTES_DEFAULT);
    CHECK_INT(add_json(&scene, "../../etc/x y\n", "1", false, NULL), 0);
    CHECK_TEXT(bundle_file_at(scene.bundle, 0)->path, "_./_./etc/x_y_");
    scene_close(&scene);
}

TEST(words_stay_home_and_identifiers_do_not)
{
    static const char text[] =
        "{\"id\":\"urn:srcos:x:1\",\"reason\":\"secretive\",\"n\":1,\"ok\":true,\"nested\":{"
        "\"message\":{\"deep\":[\"word\",7]},\"rule\":\"net.deny\",\"odd\":\"two words\"},"
        "\"utf\":\"\xc3\xa9\",\"empty\":\"\"}";
    static const char expected[] =
        "{\"id\":\"urn:srcos:x:1\",\"reason\":\"[redacted:free-text]\",\"n\":1,\"ok\":true,"
        "\"nested\":{\"message\":{\"deep\":[\"[redacted:free-text]\",7]},\"rule\":\"net.deny\","
        "\"odd\":\"[redacted:free-text]\"},\"utf\":\"[redacted:free-text]\",\"empty\":\"\"}";
    yyjson_doc *doc = NULL, *stripped = NULL;
    struct buf out = BUF_INIT;
    uint64_t count = 0;
    CHECK_INT(json_read(str_from(text), &json_limits_default, &doc, NULL), 0);
    CHECK_INT(bundle_without_words(yyjson_doc_get_root(doc), &stripped, &count, NULL), 0);
    json_add_value(&out, yyjson_doc_get_root(stripped), 0);
    CHECK_TEXT(out.data, expected);
    CHECK_INT(count, 4);
    buf_release(&out);
    yyjson_doc_free(doc);
    yyjson_doc_free(stripped);
}

/* --- archives of others -------------------------------------------------------------------- */

struct hostile {
    const char *path;
    unsigned type;
    const char *symlink, *hardlink;
    int64_t size, sparse;
};

/* Packs a manifest and one entry more. */
static void pack_hostile(const struct hostile *hostile, struct buf *ret)
{
    static char memory[1 << 20];
    size_t used = 0;
    const struct hostile rows[] = { { BUNDLE_MANIFEST, AE_IFREG, NULL, NULL, 2, 0 }, *hostile };
    CHECK_INT(lazy_load(&tar_library, NULL), 0);
    CHECK_INT(lazy_load(&zstd_library, NULL), 0);
    struct archive *archive = tar.archive_write_new();
    tar.archive_write_set_format_pax(archive);
    tar.archive_write_add_filter_none(archive);
    tar.archive_write_open_memory(archive, memory, sizeof(memory), &used);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct archive_entry *entry = tar.archive_entry_new();
        tar.archive_entry_set_pathname(entry, rows[i].path);
        tar.archive_entry_set_filetype(entry, rows[i].type);
        tar.archive_entry_set_perm(entry, 0644);
        tar.archive_entry_set_size(entry, rows[i].size);
        if (rows[i].symlink)
            tar.archive_entry_set_symlink(entry, rows[i].symlink);
        if (rows[i].hardlink)
            tar.archive_entry_set_hardlink(entry, rows[i].hardlink);
        if (rows[i].sparse)
            tar.archive_entry_sparse_add_entry(entry, 0, rows[i].sparse);
        tar.archive_write_header(archive, entry);
        if (rows[i].size == 2)
            tar.archive_write_data(archive, "{}", 2);
        tar.archive_entry_free(entry);
    }
    tar.archive_write_free(archive);
    size_t room = zstd.ZSTD_compressBound(used);
    ret->len = zstd.ZSTD_compress(buf_reserve(ret, room), room, memory, used, 1);
}

TEST(an_archive_that_would_reach_out_is_refused)
{
    static const struct hostile rows[] = {
        { "../x", AE_IFREG, NULL, NULL, 2, 0 },
        { "/etc/passwd", AE_IFREG, NULL, NULL, 2, 0 },
        { "a/../../x", AE_IFREG, NULL, NULL, 2, 0 },
        { "a/./x", AE_IFREG, NULL, NULL, 2, 0 },
        { "a\nb", AE_IFREG, NULL, NULL, 2, 0 },
        { "a\\b", AE_IFREG, NULL, NULL, 2, 0 },
        { "link", AE_IFLNK, "/etc/passwd", NULL, 0, 0 },
        { "link", AE_IFREG, NULL, "/etc/passwd", 0, 0 },
        { "folder", AE_IFDIR, NULL, NULL, 0, 0 },
        { "device", AE_IFCHR, NULL, NULL, 0, 0 },
        { "fifo", AE_IFIFO, NULL, NULL, 0, 0 },
        { BUNDLE_MANIFEST, AE_IFREG, NULL, NULL, 2, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf bytes = BUF_INIT;
        struct bundle_view view;
        struct err err = { 0 };
        pack_hostile(&rows[i], &bytes);
        if (bundle_open(buf_str(&bytes), &view, &err) == 0)
            test_fail(__FILE__, __LINE__, "%s is let in", rows[i].path);
        CHECK_INT(err.code, ERR_DOCUMENT);
        buf_release(&bytes);
    }
    struct buf bytes = BUF_INIT;
    struct bundle_view view;
    pack_hostile(&(struct hostile){ "a/plain", AE_IFREG, NULL, NULL, 2, 0 }, &bytes);
    CHECK_INT(bundle_open(buf_str(&bytes), &view, NULL), 0);
    bundle_close(&view);
    buf_release(&bytes);
}

TEST(a_bomb_ends_at_the_limit)
{
    struct buf packed = BUF_INIT;
    struct bundle_view view;
    struct err err = { 0 };
    size_t large = (size_t)400 << 20;
    CHECK_INT(lazy_load(&zstd_library, NULL), 0);
    char *zeros = calloc(1, large);
    size_t room = zstd.ZSTD_compressBound(large);
    packed.limit = SIZE_MAX;
    packed.len = zstd.ZSTD_compress(buf_reserve(&packed, room), room, zeros, large, 1);
    free(zeros);
    CHECK(packed.len < 1 << 20);
    CHECK(bundle_open(buf_str(&packed), &view, &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    buf_release(&packed);
    /* A file that says it is 1 TB long and has nothing but holes. */
    struct buf sparse = BUF_INIT;
    pack_hostile(&(struct hostile){ "holes", AE_IFREG, NULL, NULL, (int64_t)1 << 40, 1 }, &sparse);
    CHECK(bundle_open(buf_str(&sparse), &view, NULL) < 0);
    buf_release(&sparse);
}

TEST(what_is_no_bundle_is_refused)
{
    static const char *const texts[] = { "", "no bundle", "\x28\xb5\x2f\xfd", "PK\003\004" };
    struct bundle_view view;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = { 0 };
        CHECK(bundle_open(str_from(texts[i]), &view, &err) < 0);
        CHECK_INT(err.code, ERR_SYNTAX);
    }
}

TEST(a_bundle_that_was_changed_is_noticed)
{
    struct scene scene;
    struct buf whole = BUF_INIT;
    struct bundle_view view;
    char digest[DIGEST_TEXT_SIZE], manifest_digest[DIGEST_TEXT_SIZE];
    scene_open(&scene, BUNDLE_BYTES_DEFAULT);
    CHECK_INT(add_json(&scene, "a.json", "[1,2,3]", false, NULL), 0);
    pack(&scene, &whole, digest);
    for (size_t cut = 1; cut < whole.len; cut += 7)
        CHECK(bundle_open(str_make(whole.data, whole.len - cut), &view, NULL) < 0);
    size_t changed = 0;
    CHECK_INT(digest_text(STR("{\"a\":1}"), manifest_digest, NULL), 0);
    for (size_t i = 0; i < whole.len; i++) {
        whole.data[i] ^= 1;
        if (bundle_open(buf_str(&whole), &view, NULL) == 0) {
            /* A bit of a frame's header may say nothing. */
            changed += strcmp(view.archive_digest, digest) == 0 &&
                       strcmp(view.entries[0].digest, manifest_digest) != 0;
            bundle_close(&view);
        }
        whole.data[i] ^= 1;
    }
    CHECK_INT(changed, 0); /* the frame of the manifest has zstd's checksum */
    buf_release(&whole);
    scene_close(&scene);
}
