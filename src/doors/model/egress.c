/*
 * egress: see the header.
 *
 * Theory of operation. The body is read into a tree, whose texts are scanned all
 * at once (redact_scan_strings). What is to be masked is written anew, text by
 * text; between the texts the body stays as it came. Where a text stands is found
 * by its number (json_value_offset), which is that of its value in the tree.
 *
 * Invariants: what cannot be looked through is an error, never clean; a masked
 * body differs from the body in nothing but texts that had secrets.
 *
 * Limits: those of json.h; a secret that is cut over two texts is not found.
 */
#include "doors/model/egress.h"

#include "base/json.h"
#include "base/json_text.h"

#define STEP_EGRESS "look for secrets in the prompt"

static const char *const names[] = {
#define X(what, name) [what] = name,
    EGRESS_TABLE(X)
#undef X
};

enum egress_on_secret egress_on_secret_find(struct str name)
{
    for (enum egress_on_secret i = 0; i < EGRESS_COUNT; i++)
        if (str_equal(str_from(names[i]), name))
            return i;
    return EGRESS_DENY;
}

struct scanning {
    struct str body;
    struct str *texts;
    size_t *values; /* of each text, its number among the values */
    size_t count;
    struct egress_findings *findings;
    struct buf *masked; /* NULL: nothing is masked */
    size_t written;     /* of the body, so far */
    size_t masked_count;
    struct buf text; /* of the text that is being masked */
    size_t at;       /* in it, so far */
    size_t index;    /* SIZE_MAX: there is none yet */
};

static void cleanup_scanning(struct scanning *scanning)
{
    free(scanning->texts);
    free(scanning->values);
    buf_release(&scanning->text);
}

/* --- masking ------------------------------------------------------------------------------- */

static size_t string_end(struct str body, size_t at)
{
    for (at++; at < body.len && body.ptr[at] != '"'; at++)
        at += body.ptr[at] == '\\';
    return at + 1;
}

/* Writes the text that is being masked in its place. */
static void end_text(struct scanning *scanning)
{
    if (scanning->index == SIZE_MAX)
        return;
    size_t from = json_value_offset(scanning->body, scanning->values[scanning->index]);
    buf_add_str(&scanning->text, str_from_offset(scanning->texts[scanning->index], scanning->at));
    buf_add(scanning->masked, scanning->body.ptr + scanning->written, from - scanning->written);
    json_add_string(scanning->masked, buf_str(&scanning->text));
    scanning->written = string_end(scanning->body, from);
    buf_reset(&scanning->text);
    scanning->at = 0;
}

static int visit(void *context, size_t index, const struct redact_match *match, struct err *err)
{
    struct scanning *scanning = context;
    const enum redact_kind kind = match->rule->kind;
    scanning->findings->counts[kind]++;
    scanning->findings->total++;
    if (!scanning->masked)
        return 0;
    if (index != scanning->index) {
        end_text(scanning);
        scanning->index = index;
        if (++scanning->masked_count > EGRESS_MASKED_MAX)
            return err_set(err, ERR_LIMIT, STEP_EGRESS, "more texts have secrets than are masked");
    }
    struct str text = scanning->texts[index];
    buf_add(&scanning->text, text.ptr + scanning->at, match->offset - scanning->at);
    buf_addf(&scanning->text, "[redacted:%s]", redact_kind_name(kind));
    scanning->at = match->offset + match->len;
    return 0;
}

/* --- scanning ------------------------------------------------------------------------------ */

static int collect(yyjson_doc *doc, struct scanning *scanning, struct err *err)
{
    yyjson_val *values = yyjson_doc_get_root(doc);
    size_t count = yyjson_doc_get_val_count(doc);
    for (size_t i = 0; i < count; i++)
        scanning->count += yyjson_is_str(&values[i]);
    scanning->texts = calloc(scanning->count + 1, sizeof(*scanning->texts));
    scanning->values = calloc(scanning->count + 1, sizeof(*scanning->values));
    if (!scanning->texts || !scanning->values)
        return err_set(err, ERR_MEMORY, STEP_EGRESS, "there is not enough memory");
    for (size_t i = 0, at = 0; i < count; i++)
        if (yyjson_is_str(&values[i])) {
            scanning->texts[at] = json_str(&values[i]);
            scanning->values[at++] = i;
        }
    return 0;
}

static int end_masking(struct scanning *scanning, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    end_text(scanning);
    buf_add_str(scanning->masked, str_from_offset(scanning->body, scanning->written));
    if (scanning->masked->error || scanning->text.error)
        return err_set(err, ERR_MEMORY, STEP_EGRESS, "there is not enough memory");
    /* Names of members that were secrets may have become one and the same. */
    if (json_read(buf_str(scanning->masked), &json_limits_default, &doc, NULL) < 0)
        return err_set(err, ERR_LIMIT, STEP_EGRESS, "what is masked would not be read as before");
    return 0;
}

int egress_scan(struct redact_scanner *scanner, struct str body, bool masks,
                struct egress_findings *ret, struct buf *ret_masked, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct egress_findings findings = { 0 };
    _cleanup_(cleanup_scanning) struct scanning scanning = { .body = body,
                                                             .findings = &findings,
                                                             .masked = masks ? ret_masked : NULL,
                                                             .text = BUF_INIT,
                                                             .index = SIZE_MAX };
    int r = json_read(body, &json_limits_default, &doc, err);
    if (r == 0)
        r = collect(doc, &scanning, err);
    if (r == 0)
        r = redact_scan_strings(scanner, scanning.texts, scanning.count, visit, &scanning, err);
    if (r == 0 && masks && findings.total)
        r = end_masking(&scanning, err);
    if (r == 0)
        *ret = findings;
    return r;
}

void egress_add_findings(struct buf *text, const struct egress_findings *findings)
{
    bool first = true;
    for (enum redact_kind i = 0; i < REDACT_KIND_COUNT; i++) {
        if (!findings->counts[i])
            continue;
        buf_addf(text, "%s%llu %s", first ? "" : ", ", (unsigned long long)findings->counts[i],
                 redact_kind_name(i));
        first = false;
    }
}
