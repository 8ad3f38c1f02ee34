/*
 * patch_binary: contents as git's binary patches have them.
 *
 * The contents go through zlib in pieces, and each 52 bytes of what comes out are a line: a letter
 * for how many they are, and five characters for every four of them. Nothing of a file is held.
 */
#include <zlib.h>

#include "base/lazy.h"
#include "machine/layer.h"
#include "machine/patch.h"

#define ZLIB_FUNCTIONS(X) X(deflateInit_) X(deflate) X(deflateEnd)
LIBRARY(AM_EMBEDS_Z, zlib, "libz.so.1", ZLIB_FUNCTIONS)

#define STEP       "write a patch"
#define LINE_BYTES 52

struct literal {
    patch_sink *sink;
    void *context;
    unsigned char line[LINE_BYTES];
    size_t len;
};

static int end_line(struct literal *literal, struct err *err)
{
    static const char digits[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    char text[2 + LINE_BYTES / 4 * 5], *at = text;
    if (literal->len == 0)
        return 0;
    *at++ = (char)(literal->len <= 26 ? 'A' + literal->len - 1 : 'a' + literal->len - 27);
    memset(literal->line + literal->len, 0, LINE_BYTES - literal->len);
    for (size_t i = 0; i < literal->len; i += 4) {
        const unsigned char *b = literal->line + i;
        uint32_t word = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        for (int digit = 4; digit >= 0; digit--) {
            at[digit] = digits[word % 85];
            word /= 85;
        }
        at += 5;
    }
    *at++ = '\n';
    literal->len = 0;
    return literal->sink(literal->context, str_make(text, (size_t)(at - text)), err);
}

static int add_bytes(struct literal *literal, const unsigned char *bytes, size_t len,
                     struct err *err)
{
    int r = 0;
    while (len && r == 0) {
        size_t room = LINE_BYTES - literal->len, part = len < room ? len : room;
        memcpy(literal->line + literal->len, bytes, part);
        literal->len += part;
        bytes += part;
        len -= part;
        if (literal->len == LINE_BYTES)
            r = end_line(literal, err);
    }
    return r;
}

/* Puts a piece through zlib; the last one with all that is still in it. */
static int add_piece(struct literal *literal, z_stream *stream, struct str piece, bool last,
                     struct err *err)
{
    unsigned char out[16384];
    int r = 0;
    stream->next_in = (Bytef *)piece.ptr;
    stream->avail_in = (uInt)piece.len;
    do {
        stream->next_out = out;
        stream->avail_out = sizeof(out);
        zlib.deflate(stream, last ? Z_FINISH : Z_NO_FLUSH);
        r = add_bytes(literal, out, sizeof(out) - stream->avail_out, err);
    } while (r == 0 && stream->avail_out == 0);
    return r;
}

static int add_file(struct literal *literal, z_stream *stream, const struct patch_side *side,
                    struct err *err)
{
    _cleanup_(cleanup_free) char *piece = malloc(LAYER_PIECE_BYTES);
    uint64_t seen = 0;
    ssize_t n = 1;
    int r = piece && lseek(side->fd, 0, SEEK_SET) == 0
                ? 0
                : err_set_errno(err, piece ? errno : ENOMEM, STEP, "%s", side->path);
    while (r == 0 && (n = layer_read_piece(side->fd, piece)) > 0) {
        seen += (uint64_t)n;
        r = add_piece(literal, stream, str_make(piece, (size_t)n), false, err);
    }
    if (r < 0)
        return r;
    return n == 0 && seen == side->size ? 0
                                        : err_set_errno(err, n < 0 ? (int)-n : ESTALE, STEP,
                                                        "%s changes while it is read", side->path);
}

int patch_write_literal(const struct patch_side *side, patch_sink *sink, void *context,
                        struct err *err)
{
    struct literal literal = { .sink = sink, .context = context };
    z_stream stream = { 0 };
    char head[64];
    int r = lazy_load(&zlib_library, err);
    if (r < 0)
        return r;
    if (zlib.deflateInit_(&stream, Z_DEFAULT_COMPRESSION, ZLIB_VERSION, (int)sizeof(stream)) !=
        Z_OK)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    int len = snprintf(head, sizeof(head), "literal %llu\n", (unsigned long long)side->size);
    r = sink(context, str_make(head, (size_t)len), err);
    if (r == 0 && side->mode == PATCH_MODE_LINK)
        r = add_piece(&literal, &stream, side->target, false, err);
    else if (r == 0 && side->mode)
        r = add_file(&literal, &stream, side, err);
    if (r == 0)
        r = add_piece(&literal, &stream, STR(""), true, err);
    if (r == 0)
        r = end_line(&literal, err);
    zlib.deflateEnd(&stream);
    return r < 0 ? r : sink(context, STR("\n"), err);
}
