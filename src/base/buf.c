/* buf: see the header. Capacity doubles; an empty buf points at buf_empty. */
#include "base/buf.h"

#define BUF_CAPACITY_MIN 64

char buf_empty[1];

void buf_release(struct buf *buf)
{
    if (buf->capacity)
        free(buf->data);
    buf->data = buf_empty;
    buf->len = 0;
    buf->capacity = 0;
    buf->error = 0;
}

void buf_reset(struct buf *buf)
{
    buf->error = 0;
    buf_truncate(buf, 0);
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (!buf->capacity || len > buf->len)
        return;
    buf->len = len;
    buf->data[len] = '\0';
}

char *buf_reserve(struct buf *buf, size_t len)
{
    if (buf->error)
        return NULL;
    if (len > buf->limit || buf->len > buf->limit - len) {
        buf->error = -EMSGSIZE;
        return NULL;
    }
    size_t need = buf->len + len + 1;
    if (need > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : BUF_CAPACITY_MIN;
        while (capacity < need)
            capacity *= 2;
        char *data = realloc(buf->capacity ? buf->data : NULL, capacity);
        if (!data) {
            buf->error = -ENOMEM;
            return NULL;
        }
        data[buf->len] = '\0';
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->len;
}

int buf_add(struct buf *buf, const void *bytes, size_t len)
{
    char *room = buf_reserve(buf, len);
    if (!room)
        return buf->error;
    if (len)
        memcpy(room, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int buf_add_char(struct buf *buf, char c)
{
    return buf_add(buf, &c, 1);
}

int buf_add_text(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

int buf_add_str(struct buf *buf, struct str s)
{
    return buf_add(buf, s.ptr, s.len);
}

int buf_addf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    size_t spare = buf->capacity > buf->len && !buf->error ? buf->capacity - buf->len : 0;
    int len = vsnprintf(spare ? buf->data + buf->len : NULL, spare, format, arguments);
    va_end(arguments);
    char *room = len < 0 ? NULL : buf_reserve(buf, (size_t)len);
    if (!room && spare)
        buf->data[buf->len] = '\0';
    if (room) {
        if ((size_t)len >= spare)
            vsnprintf(room, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    } else if (!buf->error) {
        buf->error = -EMSGSIZE;
    }
    va_end(again);
    return buf->error;
}
