/*
 * authorities: see the header.
 *
 * Theory of operation. A file is searched for the blocks that RFC 7468 calls
 * CERTIFICATE; whatever stands between them is left out, as everybody does who
 * reads such files. Each block has to be base64 of one DER sequence as long as
 * it says, and is written anew, so that nothing else comes along. Whether the
 * certificate is a good one is asked by whoever verifies with it.
 *
 * Threats: a file that never ends or is no file (opened without waiting, only
 * regular ones are read, bounded); one that holds a key as well.
 */
#include "machine/authorities.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/sign.h"

#define STEP_AUTHORITIES "read the authorities"
#define BEGIN_LINE       "-----BEGIN CERTIFICATE-----"
#define END_LINE         "-----END CERTIFICATE-----"
#define LINE_BYTES       64
#define DER_SEQUENCE     0x30

/* --- one certificate ------------------------------------------------------------------------- */

/* Whether it is one DER sequence, as long as it says. */
static bool is_sequence(struct str der)
{
    const unsigned char *bytes = (const unsigned char *)der.ptr;
    size_t len = der.len > 1 ? bytes[1] : 0, head = 2;
    if (der.len < 2 || bytes[0] != DER_SEQUENCE)
        return false;
    if (len > 0x80 && len <= 0x83) { /* one to three bytes of a length follow */
        head += len - 0x80;
        len = 0;
        for (size_t i = 2; i < head && i < der.len; i++)
            len = len << 8 | bytes[i];
    }
    return len && der.len == head + len;
}

/* Without the white space; false where anything else is no base64 of a certificate. */
static bool read_block(struct str block, struct buf *text, struct buf *der)
{
    buf_reset(text);
    buf_reset(der);
    for (size_t i = 0; i < block.len; i++) {
        if (!strchr(" \t\r\n", block.ptr[i]))
            buf_add_char(text, block.ptr[i]);
    }
    return !text->error && base64_decode(buf_str(text), der) && is_sequence(buf_str(der));
}

static void write_block(struct str text, struct buf *ret)
{
    buf_add_text(ret, BEGIN_LINE "\n");
    for (size_t i = 0; i < text.len; i += LINE_BYTES) {
        size_t len = text.len - i < LINE_BYTES ? text.len - i : LINE_BYTES;
        buf_add(ret, text.ptr + i, len);
        buf_add_char(ret, '\n');
    }
    buf_add_text(ret, END_LINE "\n");
}

/* --- all of a text --------------------------------------------------------------------------- */

/* Where a line that begins so is, from an offset on; the text's length where none is. */
static size_t find_line(struct str text, struct str line, size_t from)
{
    while (from < text.len) {
        const char *hit = memmem(text.ptr + from, text.len - from, line.ptr, line.len);
        size_t at = hit ? (size_t)(hit - text.ptr) : text.len;
        if (at == 0 || at == text.len || text.ptr[at - 1] == '\n')
            return at;
        from = at + 1;
    }
    return text.len;
}

int authorities_take(struct str text, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf block = BUF_INIT_LIMIT(AUTHORITY_CERTIFICATE_MAX * 4 / 3 + 4);
    _cleanup_(buf_release) struct buf der = BUF_INIT_LIMIT(AUTHORITY_CERTIFICATE_MAX);
    const struct str begin = STR(BEGIN_LINE), end = STR(END_LINE);
    int count = 0;
    size_t at = find_line(text, begin, 0);
    while (at < text.len) {
        size_t start = at + begin.len, stop = find_line(text, end, start);
        if (stop == text.len || !read_block(str_make(text.ptr + start, stop - start), &block, &der))
            return err_set(err, ERR_DOCUMENT, STEP_AUTHORITIES,
                           "its certificate %d is damaged, or no certificate", count + 1);
        write_block(buf_str(&block), ret);
        count++;
        at = find_line(text, begin, stop);
    }
    if (ret->error)
        return err_set(err, ERR_LIMIT, STEP_AUTHORITIES,
                       "the authorities of all layers have no more than %zu bytes together",
                       ret->limit);
    return count ? count
                 : err_set(err, ERR_DOCUMENT, STEP_AUTHORITIES,
                           "it has no certificate in the form of PEM");
}

/* --- files ----------------------------------------------------------------------------------- */

static int read_authority(const char *path, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(AUTHORITY_FILE_BYTES_MAX);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, STEP_AUTHORITIES, "there is no such file");
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_set_errno(err, errno, STEP_AUTHORITIES, "it cannot be read");
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_DOCUMENT, STEP_AUTHORITIES, "it is no regular file");
    int r = file_read_fd(fd, path, &text, err);
    return r < 0 ? r : authorities_take(buf_str(&text), ret, err);
}

int authorities_read(const struct references *references, struct authorities *ret, struct err *err)
{
    struct authorities authorities = { .certificates = BUF_INIT_LIMIT(AUTHORITIES_BYTES_MAX) };
    size_t count = references_authority_count(references);
    struct err inner = { 0 };
    int r = count > PLAN_AUTHORITIES_MAX
                ? err_set(&inner, ERR_LIMIT, STEP_AUTHORITIES,
                          "all layers together name no more than %d files", PLAN_AUTHORITIES_MAX)
                : 0;
    for (size_t i = 0; i < count && r >= 0; i++) {
        struct reference_authority authority = references_authority(references, i);
        authorities.paths[i] = authority.path;
        r = read_authority(authority.path, &authorities.certificates, &inner);
        if (r < 0)
            err_where(&inner, "%s, which %s names", authority.path, authority.document);
    }
    if (r < 0) {
        authorities_release(&authorities);
        if (err)
            *err = inner;
        return r;
    }
    *ret = authorities;
    return 0;
}

void authorities_release(struct authorities *authorities)
{
    buf_release(&authorities->certificates);
}
