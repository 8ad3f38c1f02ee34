/*
 * patch: see the header.
 *
 * Theory of operation. A side is read once to learn its blob's name and whether it is text; text is
 * then held, and compared line by line. Hunks are made of changes that lie no further apart than
 * their contexts. Names and contents are hostile: names are quoted as git quotes them, and for a
 * terminal the contents are written so that none of it acts on that.
 */
#include "machine/patch.h"

#include "base/digest.h"
#include "base/file.h"
#include "machine/diff.h"
#include "machine/layer.h"

#define STEP           "write a patch"
#define CONTEXT_LINES  3u
#define TEXT_LOOK      8000 /* bytes in which a NUL makes a file binary, as for git */
#define BLOB_TEXT_SIZE (2 * DIGEST_SHA1_BYTES + 1)
#define BLOB_SHORT     7
#define BLOB_NOTHING   "0000000000000000000000000000000000000000"

enum tone { TONE_HEAD, TONE_PLACE, TONE_REMOVED, TONE_ADDED, TONE_COUNT };

/* What is known of a side once it was read. */
struct contents {
    struct buf text; /* where it is one */
    bool binary;
    char blob[BLOB_TEXT_SIZE];
};

struct writer {
    const struct patch_style *style;
    patch_sink *sink;
    void *context;
    struct buf out;
    struct err *err;
};

/* --- names --------------------------------------------------------------------------------- */

static bool needs_quotes(const char *path)
{
    for (const unsigned char *c = (const unsigned char *)path; *c; c++)
        if (*c < ' ' || *c >= 0x7f || *c == '"' || *c == '\\')
            return true;
    return false;
}

int patch_add_path(struct buf *ret, const char *prefix, const char *path)
{
    static const char named[] =
        "\aa\bb\tt\nn\vv\ff\rr\"\"\\\\"; /* in pairs: what, and its letter */
    if (!needs_quotes(path)) {
        buf_add_text(ret, prefix);
        return buf_add_text(ret, path);
    }
    buf_addf(ret, "\"%s", prefix);
    for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
        size_t at = 0;
        while (named[at] && (unsigned char)named[at] != *c)
            at += 2;
        if (named[at])
            buf_addf(ret, "\\%c", named[at + 1]);
        else if (*c < ' ' || *c >= 0x7f)
            buf_addf(ret, "\\%03o", *c);
        else
            buf_add_char(ret, (char)*c);
    }
    return buf_add_char(ret, '"');
}

/* --- output -------------------------------------------------------------------------------- */

static int flush(struct writer *writer)
{
    int r = writer->out.error ? err_set(writer->err, ERR_MEMORY, STEP, "there is not enough memory")
                              : writer->sink(writer->context, buf_str(&writer->out), writer->err);
    buf_reset(&writer->out);
    return r;
}

static void begin_tone(struct writer *writer, enum tone tone)
{
    static const char *const escapes[TONE_COUNT] = { [TONE_HEAD] = "\033[1m",
                                                     [TONE_PLACE] = "\033[36m",
                                                     [TONE_REMOVED] = "\033[31m",
                                                     [TONE_ADDED] = "\033[32m" };
    if (writer->style->colour)
        buf_add_text(&writer->out, escapes[tone]);
}

static void end_tone(struct writer *writer)
{
    if (writer->style->colour)
        buf_add_text(&writer->out, "\033[m");
}

/* What a terminal might act on, also as the second byte of a control character in UTF-8. */
static void add_escaped(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_c1 = c == 0xc2 && i + 1 < text.len && (text.ptr[i + 1] & 0xe0) == 0x80;
        if ((c < ' ' && c != '\t') || c == 0x7f || is_c1)
            buf_addf(out, "\\x%02x", is_c1 ? (unsigned char)text.ptr[++i] : c);
        else
            buf_add_char(out, (char)c);
    }
}

static void add_line(struct writer *writer, char sign, enum tone tone, struct str line)
{
    bool ended = line.len && line.ptr[line.len - 1] == '\n';
    struct str text = str_make(line.ptr, line.len - ended);
    if (tone != TONE_COUNT)
        begin_tone(writer, tone);
    buf_add_char(&writer->out, sign);
    if (writer->style->for_people)
        add_escaped(&writer->out, text);
    else
        buf_add_str(&writer->out, text);
    if (tone != TONE_COUNT)
        end_tone(writer);
    buf_add_char(&writer->out, '\n');
    if (!ended)
        buf_add_text(&writer->out, "\\ No newline at end of file\n");
}

/* --- reading ------------------------------------------------------------------------------- */

static void write_blob(const unsigned char *digest, char ret[BLOB_TEXT_SIZE])
{
    for (size_t i = 0; i < DIGEST_SHA1_BYTES; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

static int read_file(const struct patch_side *side, struct digest_stream *stream,
                     struct contents *ret, struct err *err)
{
    _cleanup_(cleanup_free) char *piece = malloc(LAYER_PIECE_BYTES);
    uint64_t seen = 0;
    ssize_t n = 0;
    if (!piece || lseek(side->fd, 0, SEEK_SET) < 0)
        return err_set_errno(err, piece ? errno : ENOMEM, STEP, "%s", side->path);
    ret->binary = side->size > PATCH_TEXT_MAX;
    while ((n = layer_read_piece(side->fd, piece)) > 0) {
        if (seen == 0 && memchr(piece, '\0', n < TEXT_LOOK ? (size_t)n : TEXT_LOOK))
            ret->binary = true;
        seen += (uint64_t)n;
        digest_stream_add(stream, str_make(piece, (size_t)n));
        if (!ret->binary)
            buf_add(&ret->text, piece, (size_t)n);
    }
    if (n < 0 || seen != side->size)
        return err_set_errno(err, n < 0 ? (int)-n : ESTALE, STEP, "%s changes while it is read",
                             side->path);
    return ret->text.error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
}

static int read_contents(const struct patch_side *side, struct contents *ret, struct err *err)
{
    _cleanup_(cleanup_digest_stream) struct digest_stream *stream = NULL;
    unsigned char digest[DIGEST_BYTES];
    char head[64];
    if (!side->mode)
        return 0;
    int r = digest_stream_new(DIGEST_SHA1, &stream, err);
    if (r < 0)
        return r;
    int len = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)side->size);
    digest_stream_add(stream, str_make(head, (size_t)len + 1)); /* with its NUL */
    if (side->mode == PATCH_MODE_LINK) {
        digest_stream_add(stream, side->target);
        buf_add_str(&ret->text, side->target);
    } else {
        r = read_file(side, stream, ret, err);
    }
    digest_stream_end(stream, digest);
    write_blob(digest, ret->blob);
    return r;
}

/* --- the head ------------------------------------------------------------------------------ */

static void add_head(struct writer *writer, const struct patch_side *before,
                     const struct patch_side *after)
{
    struct buf *out = &writer->out;
    begin_tone(writer, TONE_HEAD);
    buf_add_text(out, "diff --git ");
    patch_add_path(out, "a/", before->path);
    buf_add_char(out, ' ');
    patch_add_path(out, "b/", after->path);
    buf_add_char(out, '\n');
    if (!before->mode)
        buf_addf(out, "new file mode %o\n", after->mode);
    else if (!after->mode)
        buf_addf(out, "deleted file mode %o\n", before->mode);
    else if (before->mode != after->mode)
        buf_addf(out, "old mode %o\nnew mode %o\n", before->mode, after->mode);
    if (strcmp(before->path, after->path) != 0) {
        buf_add_text(out, "similarity index 100%\nrename from ");
        patch_add_path(out, "", before->path);
        buf_add_text(out, "\nrename to ");
        patch_add_path(out, "", after->path);
        buf_add_char(out, '\n');
    }
    end_tone(writer);
}

static void add_index(struct writer *writer, const struct patch_side *before,
                      const struct patch_side *after, const struct contents contents[2], bool full)
{
    int len = full ? BLOB_TEXT_SIZE - 1 : BLOB_SHORT;
    begin_tone(writer, TONE_HEAD);
    buf_addf(&writer->out, "index %.*s..%.*s", len, contents[0].blob, len, contents[1].blob);
    if (before->mode == after->mode)
        buf_addf(&writer->out, " %o", after->mode);
    buf_add_char(&writer->out, '\n');
    end_tone(writer);
}

/* "--- a/NAME": a name with blanks in it ends with a tab, so that its end is seen. */
static void add_name(struct buf *out, const char *label, const char *prefix,
                     const struct patch_side *side)
{
    buf_add_text(out, label);
    if (side->mode)
        patch_add_path(out, prefix, side->path);
    else
        buf_add_text(out, "/dev/null");
    if (side->mode && strchr(side->path, ' ') && !needs_quotes(side->path))
        buf_add_char(out, '\t');
}

/* --- text ---------------------------------------------------------------------------------- */

static void add_range(struct buf *out, char sign, uint32_t from, uint32_t count)
{
    buf_addf(out, " %c%u", sign, count ? from + 1 : from);
    if (count != 1)
        buf_addf(out, ",%u", count);
}

/* The changes [first, last) with the lines around them. */
static int write_hunk(struct writer *writer, const struct diff *diff, size_t first, size_t last)
{
    const struct diff_change *begin = &diff->changes[first], *end = &diff->changes[last - 1];
    uint32_t lead = begin->before < CONTEXT_LINES ? begin->before : CONTEXT_LINES;
    uint32_t rest = diff->before.count - end->before - end->before_count;
    uint32_t tail = rest < CONTEXT_LINES ? rest : CONTEXT_LINES;
    uint32_t a = begin->before - lead, b = begin->after - lead;
    begin_tone(writer, TONE_PLACE);
    buf_add_text(&writer->out, "@@");
    add_range(&writer->out, '-', a, end->before + end->before_count + tail - a);
    add_range(&writer->out, '+', b, end->after + end->after_count + tail - b);
    buf_add_text(&writer->out, " @@");
    end_tone(writer);
    buf_add_char(&writer->out, '\n');
    for (size_t i = first; i < last; i++) {
        const struct diff_change *change = &diff->changes[i];
        for (; a < change->before; a++)
            add_line(writer, ' ', TONE_COUNT, diff_line(&diff->before, a));
        for (; a < change->before + change->before_count; a++)
            add_line(writer, '-', TONE_REMOVED, diff_line(&diff->before, a));
        for (uint32_t line = 0; line < change->after_count; line++)
            add_line(writer, '+', TONE_ADDED, diff_line(&diff->after, change->after + line));
    }
    for (uint32_t i = 0; i < tail; i++)
        add_line(writer, ' ', TONE_COUNT, diff_line(&diff->before, a + i));
    return flush(writer);
}

static int write_text(struct writer *writer, const struct contents contents[2])
{
    struct diff diff = { 0 };
    int r = diff_lines(buf_str(&contents[0].text), buf_str(&contents[1].text), &diff);
    if (r < 0)
        return err_set_errno(writer->err, -r, STEP, "compare two texts");
    for (size_t first = 0, last; r == 0 && first < diff.count; first = last) {
        const struct diff_change *change = diff.changes;
        for (last = first + 1; last < diff.count; last++)
            if (change[last].before - change[last - 1].before - change[last - 1].before_count >
                2 * CONTEXT_LINES)
                break;
        r = write_hunk(writer, &diff, first, last);
    }
    diff_release(&diff);
    return r;
}

/* --- one file ------------------------------------------------------------------------------ */

static int write_binary(struct writer *writer, const struct patch_side *before,
                        const struct patch_side *after)
{
    int r;
    if (!writer->style->binary) {
        add_name(&writer->out, "Binary files ", "a/", before);
        add_name(&writer->out, " and ", "b/", after);
        buf_add_text(&writer->out, " differ\n");
        return flush(writer);
    }
    buf_add_text(&writer->out, "GIT binary patch\n");
    r = flush(writer);
    if (r == 0)
        r = patch_write_literal(after, writer->sink, writer->context, writer->err);
    return r < 0 ? r : patch_write_literal(before, writer->sink, writer->context, writer->err);
}

static int write_file(struct writer *writer, const struct patch_side *before,
                      const struct patch_side *after, const struct contents contents[2])
{
    bool binary = contents[0].binary || contents[1].binary;
    add_head(writer, before, after);
    if (strcmp(contents[0].blob, contents[1].blob) == 0)
        return flush(writer);
    add_index(writer, before, after, contents, binary && writer->style->binary);
    if (binary)
        return write_binary(writer, before, after);
    if (contents[0].text.len || contents[1].text.len) { /* an empty file has no lines to show */
        begin_tone(writer, TONE_HEAD);
        add_name(&writer->out, "--- ", "a/", before);
        add_name(&writer->out, "\n+++ ", "b/", after);
        end_tone(writer);
        buf_add_char(&writer->out, '\n');
    }
    int r = flush(writer);
    return r < 0 ? r : write_text(writer, contents);
}

int patch_write(const struct patch_side *before, const struct patch_side *after,
                const struct patch_style *style, patch_sink *sink, void *context, struct err *err)
{
    struct contents nothing = { .text = BUF_INIT_LIMIT(PATCH_TEXT_MAX), .blob = BLOB_NOTHING };
    struct contents contents[2] = { nothing, nothing };
    struct writer writer = {
        .style = style, .sink = sink, .context = context, .out = BUF_INIT, .err = err
    };
    int r = read_contents(before, &contents[0], err);
    if (r == 0)
        r = read_contents(after, &contents[1], err);
    if (r == 0)
        r = write_file(&writer, before, after, contents);
    buf_release(&writer.out);
    buf_release(&contents[0].text);
    buf_release(&contents[1].text);
    return r;
}
