/*
 * redact: the scanner for well-known credentials.
 *
 * Finds what looks like a secret by the rules of one const table, and either
 * reports where it stands (redact_scan, redact_scan_strings) or copies a
 * stream with every secret replaced by "[redacted:<kind>]" (struct redactor).
 * A text gives the same result however it is cut into pieces, and memory does
 * not grow with it.
 *
 * The rules know shapes: vendors' tokens, and values behind a name (password=…,
 * "apiKey": "…") that have what a secret has. What has no shape and no name (a
 * password in prose, a bare hexadecimal key) is not found, unless the caller
 * knows it: literals (redact_scanner_use) are found as they are, and in base64,
 * percent-encoding and JSON. Placeholders are left alone: variables such as
 * $TOKEN, ${TOKEN} and {{ token }} in the place of a password, and bodies of
 * one repeated character.
 *
 * Vectorscan is loaded when a scanner has had more than a little to scan. Where
 * that fails no more can be scanned, and that is an error (ERR_UNSUPPORTED),
 * never an empty result.
 */
#ifndef AM_BASE_REDACT_H
#define AM_BASE_REDACT_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

/* What a rule looks at, from the first byte of its pattern on; a longer secret's rest follows it.
 */
#define REDACT_HEAD_BYTES_MAX 1024
/* The longest secret that is masked whole; what goes on for longer is none. */
#define REDACT_SECRET_BYTES_MAX ((size_t)64 << 10)
/* What a redactor holds back at most, until it is known not to be part of a secret. */
#define REDACT_HOLD_BYTES_MAX ((size_t)16 << 10)

/*        kind                     what stands between "[redacted:" and "]"                       */
#define REDACT_KINDS(X)                                                                            \
    X(REDACT_CLOUD_KEY, "cloud-key")                                                               \
    X(REDACT_CODE_HOST_TOKEN, "code-host-token")                                                   \
    X(REDACT_REGISTRY_TOKEN, "registry-token")                                                     \
    X(REDACT_CHAT_TOKEN, "chat-token")                                                             \
    X(REDACT_PAYMENT_KEY, "payment-key")                                                           \
    X(REDACT_MODEL_KEY, "model-key")                                                               \
    X(REDACT_SERVICE_TOKEN, "service-token")                                                       \
    X(REDACT_PRIVATE_KEY, "private-key")                                                           \
    X(REDACT_JWT, "jwt")                                                                           \
    X(REDACT_CONNECTION_PASSWORD, "connection-password")                                           \
    X(REDACT_URL_PASSWORD, "url-password")                                                         \
    X(REDACT_AUTHORIZATION, "authorization")                                                       \
    X(REDACT_ASSIGNED_SECRET, "assigned-secret")                                                   \
    X(REDACT_OWN_SECRET, "own-secret")

enum redact_kind {
#define X(kind, name) kind,
    REDACT_KINDS(X)
#undef X
        REDACT_KIND_COUNT
};

const char *redact_kind_name(enum redact_kind kind);

/* The bytes that belong to a secret after its head, up to the first that does not. */
enum redact_run {
    RUN_NONE,
    RUN_WORD,     /* letters, digits, "_" */
    RUN_TOKEN,    /* and "-" */
    RUN_DOTTED,   /* and "." */
    RUN_BASE64,   /* either alphabet of base64, with padding */
    RUN_VALUE,    /* what a header or a query may carry unquoted */
    RUN_PASSWORD, /* what ends at a blank, a quote, "&" or ";" */
    RUN_KEY,      /* the body of a private key and its end line */
    RUN_COUNT
};

/* What the bytes found must be like, beyond the pattern (redact_check.c). */
enum redact_check {
    CHECK_NONE,
    CHECK_CRC,      /* a checksum that holds, or no small letters alone: GitHub, npm */
    CHECK_PASSWORD, /* no name, type, path or phrase in the place of one */
    CHECK_RANDOM,   /* letters and digits, with the entropy of a key */
};

enum {
    REDACT_BOUNDED = 1 << 0,  /* not in the middle of a word */
    REDACT_CASELESS = 1 << 1, /* the anchors' case does not matter */
    REDACT_LINES = 1 << 2,    /* the head goes over line ends */
    REDACT_ASSIGNS = 1 << 3,  /* behind the name that holds the anchor, "=", ":" or ">" follows */
};

/*
 * One rule. Its example stands between `before` and `after`; of these three
 * the example alone is masked, and nothing in the counter-example is.
 */
struct redact_rule {
    const char *id;
    enum redact_kind kind;
    const char *anchors; /* the literals that make the rule look, with "|" between them */
    unsigned lead;       /* bytes from the start of the pattern to the anchor */
    const char *pattern; /* PCRE2; its group, where it has one, is the secret, else its match is */
    enum redact_run run;
    enum redact_check check;
    unsigned flags;
    const char *before;
    const char *example;
    const char *after;
    const char *counter_example;
};

size_t redact_rule_count(void);
const struct redact_rule *redact_rule_at(size_t index);
/* The last two are the rules of literals, which have no anchors; all others have. */
#define REDACT_RULE_COUNT      146
#define REDACT_RULE_OWN        (REDACT_RULE_COUNT - 2)
#define REDACT_RULE_OWN_BASE64 (REDACT_RULE_COUNT - 1)

/* The compiled rules. One thread at a time; several redactors may share one scanner. */
struct redact_scanner;

/* What a scanner scans in all before it loads Vectorscan, which takes milliseconds: keep it. */
#define REDACT_SMALL_BYTES_MAX ((size_t)256 << 10)

/* ERR_UNSUPPORTED, ERR_MEMORY. */
int redact_scanner_new(struct redact_scanner **ret, struct err *err) MUST_CHECK;
void redact_scanner_free(struct redact_scanner *scanner);
/* Looks for these too from now on; they outlive the scanner. */
struct redact_literals;
void redact_scanner_use(struct redact_scanner *scanner, const struct redact_literals *literals);

/* A secret found. Matches come in order and do not overlap; what overlapped is one. */
struct redact_match {
    uint64_t offset;
    uint64_t len;
    const struct redact_rule *rule; /* of the part that starts first; of equals, the first rule */
};

/* A negative return ends the scan with it; the visitor then fills err. */
typedef int redact_visit(void *context, const struct redact_match *match, struct err *err);

/* Reports every secret of a text. 0, ERR_MEMORY, ERR_UNSUPPORTED, or what the visitor returned. */
int redact_scan(struct redact_scanner *scanner, struct str text, redact_visit *visit, void *context,
                struct err *err) MUST_CHECK;

/* `index` is that of the string, and the match's offset counts from its start. */
typedef int redact_visit_string(void *context, size_t index, const struct redact_match *match,
                                struct err *err);

/*
 * As redact_scan for each of many strings, such as all those of a document,
 * at the cost of one scan of them all. Secrets do not go from one to the next.
 */
int redact_scan_strings(struct redact_scanner *scanner, const struct str *strings, size_t count,
                        redact_visit_string *visit, void *context, struct err *err) MUST_CHECK;

/* Takes output in order; a negative return ends the feed with it, and the sink fills err. */
typedef int redact_sink(void *context, struct str bytes, struct err *err);

/* A stream on its way through the scanner. */
struct redactor;

/* The scanner and the context outlive the redactor. ERR_MEMORY. */
int redactor_new(struct redact_scanner *scanner, redact_sink *sink, void *context,
                 struct redactor **ret, struct err *err) MUST_CHECK;
/* What is still held is forgotten, not given to the sink. */
void redactor_free(struct redactor *redactor);

/*
 * Gives the sink all that is known to be clean, with masks for the secrets
 * between. Whole lines pass at once, except in the head of a private key.
 * After a failure the redactor may only be freed.
 */
int redactor_feed(struct redactor *redactor, struct str bytes, struct err *err) MUST_CHECK;
/* The text ends here: gives out what is held. What is fed next is another text; counts go on. */
int redactor_end(struct redactor *redactor, struct err *err) MUST_CHECK;

/* How many masks were written: one number per rule, in the order of the table; and per kind. */
const uint64_t *redactor_counts(const struct redactor *redactor);
uint64_t redactor_count_of_kind(const struct redactor *redactor, enum redact_kind kind);

#endif
