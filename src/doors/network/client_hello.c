/*
 * client_hello: see the header.
 *
 * Theory of operation. The hello is the first handshake message, cut into one
 * or more records. What has come of it is put together from the start with
 * every call: who calls has peeked, so nothing needs to be kept between calls.
 * Only when the message is whole is it taken apart, by a cursor that fails once
 * and stays failed.
 *
 * Threats: the bytes are the client's. A name decides only if the server can
 * read no other one from the same bytes: so two names, two extensions that
 * carry names, names in other bytes than those of host names, addresses, and
 * whatever does not fill its own lengths are refused and never repaired.
 *
 * With Encrypted Client Hello the outer name is the one that stands here.
 */
#include "doors/network/client_hello.h"

#define RECORD_HEADER_BYTES  5
#define RECORD_BYTES_MAX     (16 << 10)
#define RECORD_HANDSHAKE     22
#define RECORD_VERSION_MAJOR 3
#define MESSAGE_HEADER_BYTES 4
#define MESSAGE_CLIENT_HELLO 1
#define RANDOM_BYTES         32
#define SESSION_ID_BYTES_MAX 32
#define EXTENSION_NAME       0
#define NAME_TYPE_HOST       0

/* --- records -> message ------------------------------------------------------------------- */

struct message {
    size_t len;
    unsigned char bytes[CLIENT_HELLO_BYTES_MAX];
};

static size_t message_len(const struct message *message)
{
    const unsigned char *b = message->bytes;
    if (message->len < MESSAGE_HEADER_BYTES)
        return MESSAGE_HEADER_BYTES;
    return MESSAGE_HEADER_BYTES + ((size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3]);
}

static bool is_whole(const struct message *message)
{
    return message->len >= MESSAGE_HEADER_BYTES && message->len >= message_len(message);
}

/* What there is of a record's header: whether it can be a handshake's. */
static bool is_header(const unsigned char *at, size_t len)
{
    if (len >= 1 && at[0] != RECORD_HANDSHAKE)
        return false;
    if (len >= 2 && at[1] != RECORD_VERSION_MAJOR)
        return false;
    if (len < RECORD_HEADER_BYTES)
        return true;
    size_t payload = (size_t)at[3] << 8 | at[4];
    return payload > 0 && payload <= RECORD_BYTES_MAX;
}

/* CLIENT_HELLO_NAME where the message is whole: whether it has one is seen later. */
static enum client_hello gather(struct str bytes, struct message *message)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    size_t left = bytes.len < CLIENT_HELLO_BYTES_MAX ? bytes.len : CLIENT_HELLO_BYTES_MAX;
    message->len = 0;
    while (!is_whole(message)) {
        if (!is_header(at, left))
            return CLIENT_HELLO_NOT_TLS;
        if (left < RECORD_HEADER_BYTES)
            break;
        size_t payload = (size_t)at[3] << 8 | at[4];
        at += RECORD_HEADER_BYTES;
        left -= RECORD_HEADER_BYTES;
        size_t part = payload < left ? payload : left;
        memcpy(message->bytes + message->len, at, part);
        message->len += part;
        at += part;
        left -= part;
        if (message->len && message->bytes[0] != MESSAGE_CLIENT_HELLO)
            return CLIENT_HELLO_NOT_TLS;
        if (message_len(message) > CLIENT_HELLO_BYTES_MAX - RECORD_HEADER_BYTES)
            return CLIENT_HELLO_TOO_LONG;
        if (part < payload)
            break;
    }
    if (is_whole(message))
        return CLIENT_HELLO_NAME;
    return bytes.len >= CLIENT_HELLO_BYTES_MAX ? CLIENT_HELLO_TOO_LONG : CLIENT_HELLO_MORE;
}

/* --- message -> name ---------------------------------------------------------------------- */

struct cursor {
    const unsigned char *at;
    size_t left;
    bool failed; /* something claimed to be longer than there is */
};

static struct str take(struct cursor *cursor, size_t len)
{
    struct str taken = str_make((const char *)cursor->at, len);
    if (len > cursor->left) {
        cursor->failed = true;
        cursor->left = 0;
        return str_make((const char *)cursor->at, 0);
    }
    cursor->at += len;
    cursor->left -= len;
    return taken;
}

static size_t take_number(struct cursor *cursor, size_t bytes)
{
    struct str digits = take(cursor, bytes);
    size_t number = 0;
    for (size_t i = 0; i < digits.len; i++)
        number = number << 8 | (unsigned char)digits.ptr[i];
    return number;
}

/* A vector: its length in so many bytes, and then itself. */
static struct str take_vector(struct cursor *cursor, size_t length_bytes)
{
    size_t len = take_number(cursor, length_bytes);
    return take(cursor, len);
}

static struct cursor within(struct str bytes)
{
    return (struct cursor){ .at = (const unsigned char *)bytes.ptr, .left = bytes.len };
}

static bool is_plain_name(struct str text, struct host_name *ret)
{
    struct host_name name;
    struct address_range address;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80) /* a server would compare other bytes than we */
            return false;
    }
    if (host_name_read(text, &name, NULL) != 1 || address_read_odd(&name, &address))
        return false;
    *ret = name;
    return true;
}

static enum client_hello read_name(struct str extension, struct host_name *ret)
{
    struct cursor whole = within(extension);
    struct cursor list = within(take_vector(&whole, 2));
    size_t type = take_number(&list, 1);
    struct str name = take_vector(&list, 2);
    if (whole.failed || list.failed || whole.left)
        return CLIENT_HELLO_NOT_TLS;
    if (list.left || type != NAME_TYPE_HOST || !is_plain_name(name, ret))
        return CLIENT_HELLO_ODD_NAME;
    return CLIENT_HELLO_NAME;
}

static enum client_hello read_extensions(struct cursor *extensions, struct host_name *ret)
{
    enum client_hello found = CLIENT_HELLO_NO_NAME;
    while (extensions->left) {
        size_t type = take_number(extensions, 2);
        struct str extension = take_vector(extensions, 2);
        if (extensions->failed)
            return CLIENT_HELLO_NOT_TLS;
        if (type != EXTENSION_NAME)
            continue;
        found = found == CLIENT_HELLO_NO_NAME ? read_name(extension, ret) : CLIENT_HELLO_ODD_NAME;
        if (found == CLIENT_HELLO_NOT_TLS)
            return found;
    }
    return found;
}

enum client_hello client_hello_read(struct str bytes, struct host_name *ret)
{
    struct message message;
    struct host_name name;
    enum client_hello found = gather(bytes, &message);
    if (found != CLIENT_HELLO_NAME)
        return found;
    struct cursor body = { .at = message.bytes, .left = message_len(&message) };
    (void)take(&body, MESSAGE_HEADER_BYTES);
    size_t major = take_number(&body, 1);
    (void)take(&body, 1 + RANDOM_BYTES);
    struct str session_id = take_vector(&body, 1);
    struct str ciphers = take_vector(&body, 2);
    struct str compressions = take_vector(&body, 1);
    if (body.failed || major != RECORD_VERSION_MAJOR || session_id.len > SESSION_ID_BYTES_MAX ||
        !ciphers.len || ciphers.len % 2 || !compressions.len)
        return CLIENT_HELLO_NOT_TLS;
    if (!body.left) /* as before there were extensions */
        return CLIENT_HELLO_NO_NAME;
    struct cursor extensions = within(take_vector(&body, 2));
    if (body.failed || body.left)
        return CLIENT_HELLO_NOT_TLS;
    found = read_extensions(&extensions, &name);
    if (found == CLIENT_HELLO_NAME)
        *ret = name;
    return found;
}
