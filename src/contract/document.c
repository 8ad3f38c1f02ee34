/* document: see the header. */
#include "contract/document.h"

#include "base/file.h"
#include "contract/yaml.h"

static bool is_yaml_name(const char *path)
{
    return str_ends(str_from(path), STR(".yaml")) || str_ends(str_from(path), STR(".yml"));
}

static bool begins_as_json(struct str text)
{
    size_t start = 0;
    while (start < text.len && strchr(" \t\r\n", text.ptr[start]))
        start++;
    return start == text.len || strchr("{[\"", text.ptr[start]);
}

int document_read(const char *path, const struct json_limits *limits, struct document *ret,
                  struct err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct document d = { .text = BUF_INIT_LIMIT(limits->size_bytes) };
    d.name = strdup(is_stdin ? "<standard input>" : path);
    int r = d.name ? file_read(path, &d.text, err)
                   : err_set(err, ERR_MEMORY, "read a document", "there is not enough memory");
    if (r == 0) {
        d.is_yaml = is_stdin ? !begins_as_json(buf_str(&d.text)) : is_yaml_name(path);
        struct err inner = { 0 };
        r = d.is_yaml ? yaml_read(buf_str(&d.text), limits, &d.doc, &inner)
                      : json_read(buf_str(&d.text), limits, &d.doc, &inner);
        if (r < 0 && err) {
            *err = inner;
            err_where(err, "%s%s%s", d.name, inner.where[0] ? ":" : "", inner.where);
        }
    }
    if (r < 0) {
        document_release(&d);
        return r;
    }
    *ret = d;
    return 0;
}

void document_release(struct document *document)
{
    free(document->name);
    buf_release(&document->text);
    yyjson_doc_free(document->doc);
    *document = (struct document){ 0 };
}

static int locate(const struct document *document, struct str pointer, bool key,
                  struct json_position *ret)
{
    struct str text = buf_str(&document->text);
    if (document->is_yaml)
        return yaml_locate(text, pointer, key, ret);
    size_t offset;
    int r = json_locate(text, pointer, key, &offset);
    if (r == 0)
        *ret = json_position(text, offset);
    return r;
}

struct json_position document_position(const struct document *document, struct str pointer,
                                       bool key)
{
    struct json_position position = { 1, 1 };
    while (locate(document, pointer, key, &position) < 0 && pointer.len) {
        key = false;
        while (pointer.len && pointer.ptr[--pointer.len] != '/')
            ;
    }
    return position;
}
