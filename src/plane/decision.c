/* decision: see the header. */
#include "plane/decision.h"

#include "base/json.h"
#include "contract/jcs.h"

#define STEP_DECISION "write down a verdict"

int decision_bind(struct work *work, const char *id, struct str json, enum gate gate,
                  const char *verdict, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
    if (r == 0)
        r = ledger_put_document(work->batch, STR("PolicyDecision"), str_from(id),
                                work_operation(work), json, LEDGER_NEW, err);
    if (r < 0)
        return r;
    buf_addf(&extra,
             ",\"decision\":{\"policyDecisionRef\":\"%s\",\"gate\":\"%s\",\"verdict\":\"%s\"}"
             ",\"documents\":[{\"documentRef\":\"%s\",\"digest\":\"%s\"}]",
             id, gate_names[gate], verdict, id, digest);
    return extra.error ? err_set(err, ERR_MEMORY, STEP_DECISION, "there is not enough memory")
                       : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}
