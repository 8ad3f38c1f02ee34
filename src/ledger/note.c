/*
 * note: see the header.
 *
 * Theory of operation. A note is a text that ends with a newline, an empty
 * line, and lines "— NAME BASE64", whose bytes are four that tell keys apart
 * and a signature of the text. The four are the beginning of SHA-256 over the
 * name, a newline, a byte 0x01 for Ed25519 and the public key. A line of
 * somebody else's is passed over; one with our name and key must hold.
 */
#include "ledger/note.h"

#include "base/digest.h"
#include "base/utf8.h"

#define STEP_SIGN      "sign a checkpoint"
#define STEP_OPEN      "read a checkpoint"
#define LINE_PREFIX    "\xe2\x80\x94 " /* an em dash and a space */
#define KEY_HINT_BYTES 4
#define ED25519        0x01
#define LINE_BYTES     (KEY_HINT_BYTES + SIGN_SIGNATURE_BYTES)
#define NAME_BYTES_MAX 256

static int key_hint(struct str name, const struct sign_public *key,
                    unsigned char ret[KEY_HINT_BYTES], struct err *err)
{
    unsigned char digest[DIGEST_BYTES];
    _cleanup_(buf_release) struct buf message = BUF_INIT;
    buf_add_str(&message, name);
    buf_add_char(&message, '\n');
    buf_add_char(&message, ED25519);
    if (buf_add(&message, key->bytes, sizeof(key->bytes)) < 0)
        return err_set(err, ERR_MEMORY, STEP_SIGN, "no memory for it");
    int r = digest_sha256(buf_str(&message), digest, err);
    if (r == 0)
        memcpy(ret, digest, KEY_HINT_BYTES);
    return r;
}

int note_sign(struct str text, struct str name, const struct sign_key *key, struct buf *ret,
              struct err *err)
{
    unsigned char line[LINE_BYTES];
    struct sign_public public;
    sign_key_public(key, &public);
    int r = key_hint(name, &public, line, err);
    if (r == 0)
        r = sign_message(key, text, line + KEY_HINT_BYTES, err);
    if (r < 0)
        return r;
    buf_add_str(ret, text);
    buf_add_text(ret, "\n" LINE_PREFIX);
    buf_add_str(ret, name);
    buf_add_char(ret, ' ');
    base64_add(ret, str_make((char *)line, sizeof(line)));
    r = buf_add_char(ret, '\n');
    return r < 0 ? err_set_errno(err, -r, STEP_SIGN, "%zu bytes", ret->len) : 0;
}

/* --- reading ------------------------------------------------------------------------------- */

static bool is_clean(struct str note)
{
    for (size_t i = 0; i < note.len;) {
        unsigned char c = (unsigned char)note.ptr[i];
        if (c < 0x20 && c != '\n')
            return false;
        if (c < 0x80)
            i++;
        else if (utf8_next(note, &i) < 0)
            return false;
    }
    return true;
}

/* Cuts a note into its text, with the newline at its end, and its signature lines. */
static bool split(struct str note, struct str *ret_text, struct str *ret_lines)
{
    if (note.len > NOTE_BYTES_MAX || !is_clean(note) || !str_ends(note, STR("\n")))
        return false;
    for (size_t at = note.len; at >= 2; at--) { /* the last empty line */
        if (note.ptr[at - 1] != '\n' || note.ptr[at - 2] != '\n')
            continue;
        *ret_text = str_make(note.ptr, at - 1);
        *ret_lines = str_from_offset(note, at);
        return ret_lines->len > 0;
    }
    return false;
}

/* "— NAME BASE64" without its newline. */
static bool read_line(struct str line, struct str *ret_name, struct buf *ret_bytes)
{
    if (!str_starts(line, STR(LINE_PREFIX)))
        return false;
    line = str_from_offset(line, strlen(LINE_PREFIX));
    size_t space = str_index(line, ' ', 0);
    *ret_name = str_make(line.ptr, space);
    buf_reset(ret_bytes);
    return space > 0 && space <= NAME_BYTES_MAX && space < line.len &&
           !memchr(line.ptr, '+', space) &&
           base64_decode(str_from_offset(line, space + 1), ret_bytes) &&
           ret_bytes->len > KEY_HINT_BYTES;
}

/* 1 the line is the key's and holds, 0 it is somebody else's, -errno. */
static int check_line(struct str text, struct str name, struct str bytes,
                      const struct sign_public *key, struct err *err)
{
    unsigned char hint[KEY_HINT_BYTES];
    int r = key_hint(name, key, hint, err);
    if (r < 0)
        return r;
    if (bytes.len != LINE_BYTES || memcmp(bytes.ptr, hint, KEY_HINT_BYTES) != 0)
        return 0;
    r = sign_verify(key, text, (const unsigned char *)bytes.ptr + KEY_HINT_BYTES, err);
    if (r == 0)
        return err_set(err, ERR_DENIED, STEP_OPEN,
                       "the signature of %.*s is not this text's: it was changed after it was "
                       "signed",
                       STR_ARG(name));
    return r;
}

int note_open(struct str note, const struct sign_public *key, struct str *ret_text,
              struct str *ret_name, struct err *err)
{
    struct str text, lines;
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(NOTE_BYTES_MAX);
    if (!split(note, &text, &lines))
        return err_set(err, ERR_SYNTAX, STEP_OPEN,
                       "it is no signed note: a text, an empty line, and signature lines");
    for (size_t i = 0; lines.len; i++) {
        struct str line = str_make(lines.ptr, str_index(lines, '\n', 0)), name;
        lines = str_from_offset(lines, line.len + 1);
        if (i == NOTE_SIGNATURES_MAX)
            return err_set(err, ERR_LIMIT, STEP_OPEN, "it has more than %d signatures",
                           NOTE_SIGNATURES_MAX);
        if (!read_line(line, &name, &bytes))
            return err_set(err, ERR_SYNTAX, STEP_OPEN, "signature line %zu is none", i + 1);
        int r = check_line(text, name, buf_str(&bytes), key, err);
        if (r < 0)
            return r;
        if (r > 0) {
            *ret_text = text;
            *ret_name = name;
            return 0;
        }
    }
    return err_set(err, ERR_DENIED, STEP_OPEN, "this key has not signed it");
}
