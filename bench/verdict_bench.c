/*
 * verdict_bench: how long a verdict takes, by the number of rules.
 *
 *     verdict_bench [RULES…]
 *
 * Without numbers: 10, 1000, 100000. The rules are spread over an enterprise's
 * and a user's documents, half of them names and half ranges; names that are
 * listed, names that are not, and addresses are asked about in turn, in an
 * order that the caches do not know. Compiling is timed apart. Prints for each
 * {"rules": N, "compile_ms": N, "ns_mean": N, "ns_p50": N, "ns_p99": N}.
 */
#include <time.h>

#include "authority/verdict.h"
#include "base/json.h"

#define QUESTIONS    4096
#define ROUNDS       64
#define BATCH        16 /* questions timed at once, as the clock costs some 20 ns */
#define LIST_MAX     10000
#define DOCUMENT_MAX ((size_t)64 << 20)

struct question {
    char host[64];
    struct policy_destination destination;
};

static uint64_t state = 1;

static uint32_t next(uint32_t below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((state >> 33) % below);
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void add_name(struct buf *out, uint32_t i)
{
    static const char *const forms[] = { "", "*.", "." };
    buf_addf(out, "\"%sh%u.zone%u.example%u.com\"", forms[i % 3], i, i % 1000, i % 7);
}

static void add_range(struct buf *out, uint32_t i)
{
    if (i % 4)
        buf_addf(out, "\"%u.%u.%u.0/24\"", 20 + (i >> 16) % 60, i >> 8 & 255, i & 255);
    else
        buf_addf(out, "\"2001:%x:%x::/48\"", 0xdb8 + (i >> 16), i & 0xffff);
}

/* One document with entries of at most LIST_MAX in a list. */
static int write_document(uint32_t from, uint32_t to, bool of_user, struct buf *out)
{
    static const char *const lists[] = { "allowDomains", "allowCidrs", "denyDomains", "denyCidrs" };
    const char *separator = "";
    buf_addf(out,
             "{\"type\":\"NetworkAccessProfile\",\"id\":\"urn:b\",\"defaultDecision\":\"%s\","
             "\"profiles\":[",
             of_user ? "ask" : "allow-with-policy");
    for (uint32_t i = from; i < to; separator = ",") {
        uint32_t end = to - i > LIST_MAX ? i + LIST_MAX : to;
        buf_addf(out,
                 "%s{\"profileId\":\"e%u\",\"profileClass\":\"%s\",\"priority\":1,"
                 "\"defaultEgress\":\"allow-with-prompt\"",
                 separator, i, of_user ? "user-firewall" : "proxy");
        for (uint32_t list = 0; list < ARRAY_LEN(lists); list++) {
            const char *comma = "";
            buf_addf(out, ",\"%s\":[", lists[list]);
            for (uint32_t j = i; j < end; j++) {
                if (j % 2 != list % 2 || (j % 10 == 9) != (list > 1))
                    continue;
                buf_add_text(out, comma);
                comma = ",";
                list % 2 ? add_range(out, j) : add_name(out, j);
            }
            buf_add_char(out, ']');
        }
        buf_add_char(out, '}');
        i = end;
    }
    buf_add_text(out, "]}");
    return out->error;
}

static int add_document(struct policy_builder *builder, uint32_t from, uint32_t to, bool of_user,
                        yyjson_doc **ret_doc, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(DOCUMENT_MAX);
    if (write_document(from, to, of_user, &text) < 0)
        return err_set(err, ERR_MEMORY, "write a document", "%u rules", to - from);
    int r = json_read(buf_str(&text), &json_limits_default, ret_doc, err);
    return r < 0 ? r
                 : policy_add(builder, of_user ? LAYER_USER : LAYER_ENTERPRISE,
                              of_user ? "user.json" : "enterprise.json",
                              yyjson_doc_get_root(*ret_doc), err);
}

static void make_question(struct question *question, uint32_t rules)
{
    uint32_t i = next(rules);
    switch (next(4)) {
    case 0:
        snprintf(question->host, sizeof(question->host), "h%u.zone%u.example%u.com", i, i % 1000,
                 i % 7);
        break;
    case 1:
        snprintf(question->host, sizeof(question->host), "a.b.h%u.zone%u.example%u.com", i,
                 i % 1000, i % 7);
        break;
    case 2:
        snprintf(question->host, sizeof(question->host), "www.site%u.org", i);
        break;
    case 3:
        snprintf(question->host, sizeof(question->host), "%u.%u.%u.%u", 20 + (i >> 16) % 60,
                 i >> 8 & 255, i & 255, next(256));
        break;
    }
    question->destination =
        (struct policy_destination){ .host = str_from(question->host), .port = 443 };
}

static int compare(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static int ask_all(const struct policy *policy, uint32_t rules, double compile_ms, struct err *err)
{
    static struct question questions[QUESTIONS];
    static double batches[QUESTIONS * ROUNDS / BATCH];
    static struct verdict verdict;
    double total_ns = 0;
    size_t count = 0;
    int r = 0;
    for (size_t i = 0; i < QUESTIONS; i++)
        make_question(&questions[i], rules);
    for (int round = 0; r == 0 && round <= ROUNDS; round++) {
        if (round == 1)
            count = 0; /* the first warms up */
        for (size_t i = 0; r == 0 && i < QUESTIONS; i += BATCH) {
            double begin_ns = now_ns();
            for (size_t j = i; r == 0 && j < i + BATCH; j++)
                r = policy_decide(policy, &questions[j].destination, &verdict, err);
            batches[count++] = (now_ns() - begin_ns) / BATCH;
        }
    }
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        total_ns += batches[i];
    qsort(batches, count, sizeof(*batches), compare);
    printf("{\"rules\": %u, \"compile_ms\": %.1f, \"ns_mean\": %.0f, \"ns_p50\": %.0f, "
           "\"ns_p99\": %.0f}\n",
           rules, compile_ms, total_ns / (double)count, batches[count / 2],
           batches[count * 99 / 100]);
    return 0;
}

static int measure(uint32_t rules, struct err *err)
{
    struct policy_builder *builder = NULL;
    struct policy *policy = NULL;
    yyjson_doc *docs[2] = { NULL, NULL };
    double begin_ns = now_ns();
    int r = policy_builder_new(&builder, err);
    if (r == 0)
        r = add_document(builder, 0, rules / 2, false, &docs[0], err);
    if (r == 0)
        r = add_document(builder, rules / 2, rules, true, &docs[1], err);
    if (r == 0)
        r = policy_build(builder, &policy, err);
    if (r == 0)
        r = ask_all(policy, rules, (now_ns() - begin_ns) / 1e6, err);
    policy_builder_free(builder);
    policy_free(policy);
    yyjson_doc_free(docs[0]);
    yyjson_doc_free(docs[1]);
    return r;
}

int main(int argc, char **argv)
{
    static const char *const usual[] = { "10", "1000", "100000" };
    int count = argc > 1 ? argc - 1 : (int)ARRAY_LEN(usual);
    struct err err = { 0 };
    for (int i = 0; i < count; i++) {
        unsigned long rules = strtoul(argc > 1 ? argv[i + 1] : usual[i], NULL, 10);
        if (rules < 4 || rules > POLICY_RULES_MAX / 2) {
            fprintf(stderr, "usage: verdict_bench [RULES…], from 4 to %d\n", POLICY_RULES_MAX / 2);
            return 2;
        }
        if (measure((uint32_t)rules, &err) < 0) {
            fprintf(stderr, "verdict_bench: %s: %s\n", err.where, err.cause);
            return 1;
        }
    }
    return 0;
}
