/*
 * pull_progress: see the header.
 *
 * Theory of operation. Lines are gathered, each within a bound, and read one by
 * one. What is said of a layer replaces what was said before; sums never shrink
 * below zero and stay at their greatest. A success that comes before the digests
 * were verified is none.
 */
#include "carry/pull_progress.h"

#include "base/json.h"

#define BYTES_MAX ((uint64_t)1 << 50) /* of a layer */

void pull_progress_init(struct pull_progress *progress)
{
    *progress = (struct pull_progress){ .line = BUF_INIT_LIMIT(PULL_LINE_MAX) };
}

void pull_progress_release(struct pull_progress *progress)
{
    buf_release(&progress->line);
}

static struct str text_in(yyjson_val *root, const char *name)
{
    yyjson_val *value = yyjson_obj_get(root, name);
    const char *text = yyjson_get_str(value);
    return text ? str_make(text, yyjson_get_len(value)) : STR("");
}

static uint64_t bytes_in(yyjson_val *root, const char *name)
{
    uint64_t bytes = yyjson_get_uint(yyjson_obj_get(root, name));
    return bytes < BYTES_MAX ? bytes : BYTES_MAX;
}

static struct pull_layer *find_layer(struct pull_progress *progress, struct str digest)
{
    for (size_t i = 0; i < progress->count; i++)
        if (str_equal(str_from(progress->layers[i].digest), digest))
            return &progress->layers[i];
    if (progress->count == PULL_LAYERS_MAX || digest.len >= sizeof(progress->layers[0].digest) ||
        memchr(digest.ptr, 0, digest.len))
        return NULL;
    struct pull_layer *layer = &progress->layers[progress->count++];
    snprintf(layer->digest, sizeof(layer->digest), "%.*s", STR_ARG(digest));
    return layer;
}

static void sum_up(struct pull_progress *progress)
{
    progress->total_bytes = progress->completed_bytes = progress->first_bytes = 0;
    for (size_t i = 0; i < progress->count; i++) {
        progress->total_bytes += progress->layers[i].total_bytes;
        progress->completed_bytes += progress->layers[i].completed_bytes;
        progress->first_bytes += progress->layers[i].first_bytes;
    }
}

static int take_layer(struct pull_progress *progress, yyjson_val *root, struct str digest)
{
    size_t before = progress->count;
    struct pull_layer *layer = find_layer(progress, digest);
    if (!layer)
        return -EBADMSG;
    layer->total_bytes = bytes_in(root, "total");
    layer->completed_bytes = bytes_in(root, "completed");
    if (layer->completed_bytes > layer->total_bytes)
        layer->completed_bytes = layer->total_bytes;
    if (progress->count > before || layer->first_bytes > layer->total_bytes)
        layer->first_bytes = layer->completed_bytes;
    sum_up(progress);
    return 0;
}

static int take_line(struct pull_progress *progress, struct str line)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    if (json_read(line, &json_limits_default, &doc, NULL) < 0)
        return -EBADMSG;
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct str status = text_in(root, "status"), error = text_in(root, "error");
    struct str digest = text_in(root, "digest");
    if (error.len) {
        snprintf(progress->error, sizeof(progress->error), "%.*s",
                 (int)(error.len < 255 ? error.len : 255), error.ptr);
        return 0;
    }
    if (digest.len)
        return take_layer(progress, root, digest);
    if (str_starts(status, STR("verifying")))
        progress->is_verified = true;
    if (str_equal(status, STR("success")))
        progress->is_whole = progress->is_verified;
    return yyjson_is_obj(root) ? 0 : -EBADMSG;
}

int pull_progress_feed(struct pull_progress *progress, struct str bytes)
{
    for (size_t from = 0; from < bytes.len;) {
        size_t to = str_index(bytes, '\n', from);
        if (buf_add_str(&progress->line, str_make(bytes.ptr + from, to - from)) < 0)
            return -EBADMSG;
        from = to + 1;
        if (to == bytes.len)
            break;
        int r = progress->line.len ? take_line(progress, buf_str(&progress->line)) : 0;
        if (r < 0)
            return r;
        buf_reset(&progress->line);
    }
    return 0;
}
