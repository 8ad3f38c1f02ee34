/* output: see the header. */
#include "contract/output.h"

#include "base/json.h"
#include "contract/explain.h"

int output_flag(struct buf *ret, bool valid)
{
    return buf_addf(ret, "{\"valid\":%s}", valid ? "true" : "false");
}

static void add_member(struct buf *ret, const char *name, struct str value)
{
    buf_addf(ret, ",\"%s\":", name);
    json_add_string(ret, value);
}

static void add_absolute_location(struct buf *ret, const struct schema_set *set,
                                  const struct report_unit *unit)
{
    const struct schema_location *at = schema_location(set, unit->location);
    struct buf uri = BUF_INIT;
    buf_add_str(&uri, schema_resource(set, at->resource)->uri);
    buf_add_char(&uri, '#');
    buf_add_str(&uri, at->pointer);
    if (unit->annotation)
        json_pointer_add(&uri, unit->member);
    else if (unit->keyword != KEYWORD_NONE)
        json_pointer_add(&uri, keyword_rows[unit->keyword].name);
    add_member(ret, "absoluteKeywordLocation", buf_str(&uri));
    buf_release(&uri);
}

static void add_unit(struct buf *ret, const struct schema_set *set, const struct report *report,
                     const struct report_unit *unit)
{
    buf_addf(ret, "{\"valid\":%s", report->valid ? "true" : "false");
    add_member(ret, "keywordLocation", str_from(unit->keyword_path));
    add_absolute_location(ret, set, unit);
    add_member(ret, "instanceLocation", str_from(unit->instance));
    if (unit->annotation) {
        buf_add_text(ret, ",\"annotation\":");
        json_add_value(ret, unit->annotation, 0);
    } else {
        struct buf words = BUF_INIT;
        explain_fault(set, report, unit, &words);
        add_member(ret, "error", buf_str(&words));
        buf_release(&words);
    }
    buf_add_char(ret, '}');
}

int output_basic(struct buf *ret, const struct schema_set *set, const struct report *report)
{
    buf_addf(ret, "{\"valid\":%s", report->valid ? "true" : "false");
    if (!report->valid || report->count)
        buf_addf(ret, ",\"%s\":[", report->valid ? "annotations" : "errors");
    for (size_t i = 0; i < report->count; i++) {
        buf_add_text(ret, i ? "," : "");
        add_unit(ret, set, report, &report->units[i]);
    }
    if (!report->valid || report->count)
        buf_add_char(ret, ']');
    return buf_add_char(ret, '}');
}
