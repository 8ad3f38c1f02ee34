#include "ledger/batch.h"

#include "ledger/testing.h"

static int add(const char *json, struct err *err)
{
    struct ledger_batch *batch = batch_of();
    int r = ledger_add_event(batch, str_from(json), err);
    CHECK(r == 0 || batch->bytes.len == 0); /* what failed leaves nothing */
    ledger_batch_free(batch);
    return r;
}

TEST(event_that_cannot_be_placed_is_refused)
{
    static const struct {
        const char *json;
        enum err_code code;
    } rows[] = {
        { "{}", ERR_NONE },
        { "{\"operationRef\":null}", ERR_NONE },
        { "{\"nested\":{\"sequence\":1,\"previousDigest\":2}}", ERR_NONE },
        { "", ERR_SYNTAX },
        { "{", ERR_SYNTAX },
        { "[]", ERR_DOCUMENT },
        { "7", ERR_DOCUMENT },
        { "{\"sequence\":0}", ERR_DOCUMENT },
        { "{\"previousDigest\":\"\"}", ERR_DOCUMENT },
        { "{\"a\":1,\"a\":2}", ERR_SYNTAX },
        { "{\"\xc3\xa9\":1}", ERR_DOCUMENT },
        { "{\"n\":1e999}", ERR_DOCUMENT },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = { 0 };
        add(rows[i].json, &err);
        if (err.code != rows[i].code)
            test_fail(__FILE__, __LINE__, "%s: %s", rows[i].json, err_id(err.code));
    }
}

TEST(event_is_cut_where_its_place_goes)
{
    struct err err = { 0 };
    struct batch_event event;
    struct ledger_batch *batch = batch_of();
    CHECK_OK(ledger_add_event(
        batch, STR("{ \"type\": \"T\", \"id\": \"i\", \"operationRef\": \"o\", \"zeta\": 1.0 }"),
        &err));
    struct batch_reader reader = batch_read(buf_str(&batch->bytes));
    CHECK_INT(batch_next(&reader), BATCH_EVENT);
    batch_read_event(&reader, &event);
    CHECK_INT(batch_next(&reader), BATCH_END);
    CHECK(!reader.failed);
    CHECK_STR(event.operation, STR("o"));
    CHECK_STR(event.before_digest,
              STR("{\"id\":\"i\",\"operationRef\":\"o\",\"previousDigest\":\"sha256:"));
    CHECK_STR(event.before_sequence, STR("\",\"sequence\":"));
    CHECK_STR(event.rest, STR(",\"type\":\"T\",\"zeta\":1}"));
    ledger_batch_free(batch);
}

TEST(event_of_more_than_a_megabyte_is_refused_and_the_batch_goes_on)
{
    struct err err = { 0 };
    struct buf json = BUF_INIT;
    struct ledger_batch *batch = batch_of();
    buf_add_text(&json, "{\"message\":\"");
    char *room = buf_reserve(&json, LEDGER_EVENT_BYTES_MAX);
    memset(room, 'x', LEDGER_EVENT_BYTES_MAX - 100);
    json.len += LEDGER_EVENT_BYTES_MAX - 100;
    buf_add_text(&json, "\"}");
    CHECK_INT(ledger_add_event(batch, buf_str(&json), &err), -E2BIG);
    CHECK_INT(err.code, ERR_LIMIT);
    CHECK_OK(add_event(batch, "small", "", &err));
    CHECK(!batch_is_conditional(buf_str(&batch->bytes)));
    CHECK_OK(ledger_put_key(batch, STR("s"), STR("k"), STR("v"), &err));
    CHECK(batch_is_conditional(buf_str(&batch->bytes)));
    buf_release(&json);
    ledger_batch_free(batch);
}

/* A batch that was cut short or changed on its way is never taken for another one. */
TEST(bytes_that_are_no_batch_are_seen)
{
    struct err err = { 0 };
    struct ledger_batch *batch = batch_of();
    struct amounts amounts = { 0 };
    struct holder holder = { .pid = 1, .boot_id = "b" };
    CHECK_OK(ledger_reserve(batch, STR("r"), STR("a"), &amounts, &holder, &err));
    for (size_t len = 1; len < batch->bytes.len; len++) {
        struct batch_reader reader = batch_read(str_make(batch->bytes.data, len));
        CHECK_INT(batch_next(&reader), BATCH_RESERVE);
        batch_read_str(&reader);
        batch_read_str(&reader);
        batch_read_amounts(&reader, &amounts);
        batch_read_holder(&reader, &holder);
        CHECK(reader.failed);
        CHECK_INT(batch_next(&reader), BATCH_END);
    }
    ledger_batch_free(batch);
}
