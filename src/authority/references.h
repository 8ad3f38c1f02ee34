/*
 * references: what the contracts only refer to, as the layers say it.
 *
 * A contract names a proxy, a secret or a host, and never where it lies. A
 * layer's folder may hold references.yaml (or .json, or references.NAME.yaml):
 *
 *     names:                                # name → addresses: nobody is asked to resolve it
 *       registry.internal: [10.1.2.3, "fd12::3"]
 *       "*.test.example": 127.0.0.1
 *     proxies:                              # what a proxyRef or meshBindingRef leads to
 *       "urn:srcos:proxy:corp":
 *         url: http://proxy.corp.example:3128   # or https, socks5, socks5h; with a port
 *         authorizationRef: secret://corp/proxy # of what it asks for: USER:PASSWORD
 *         authorizationScheme: basic            # or bearer: the secret is the token; with http
 *                                               # also digest, ntlm; or negotiate, without a
 *                                               # reference: the tickets of who runs this
 *         noProxy: [.corp.example, 10.0.0.0/8, "build.example:8080"]
 *       "urn:srcos:proxy:vpn": { direct: true } # the host's own network carries it there
 *     authorities: [/etc/ssl/corp/ca.pem]   # certificates that a sandbox trusts beside the host's
 *     connectors: [api.github.com, "*.slack.com"]  # connecting there is a connector call
 *     secrets:                              # see secret.h
 *       "secret://corp/proxy": { file: ~/.config/corp-proxy }
 *     probes:                               # what `doctor network` may send, and nothing else
 *       names: [www.example.com]            # asked of every name server
 *       pages: ["http://detect.example.com/empty"]   # answered by 204 where nothing is held back
 *       hosts: ["www.example.com:443", "192.0.2.7:53"]   # which answer where they are reached
 *
 * Hosts are written as in a network access profile: `name`, `*.name` for what
 * lies below it, `.name` for both, and connectors may be ranges and `*` too. Of
 * a name, the highest layer that has a match for it says where it is, and within
 * that layer the most specific match; of a reference, the highest that has it.
 * One layer says a thing once.
 *
 * noProxy has what curl's and Go's documents agree on: `*`; an address or a
 * range, held against addresses that were dialled and not against what a name
 * resolves to; a name, which is itself and all below it, with a dot before it
 * or not; `*.name` below it alone. Each may end in `:PORT`. Addresses of this
 * machine are never reached through a proxy.
 *
 * A reference carries no credential: a url with one is refused. A workspace,
 * which anyone can have written, has no secrets and no probes, and its proxies
 * no authorization.
 */
#ifndef AM_AUTHORITY_REFERENCES_H
#define AM_AUTHORITY_REFERENCES_H

#include <yyjson.h>

#include "authority/secret.h"
#include "authority/verdict.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "contract/destination.h"

#define REFERENCES_FILE_PREFIX     "references."
#define REFERENCES_NAMES_MAX       10000 /* of one document, as all of these */
#define REFERENCES_PROXIES_MAX     1000
#define REFERENCES_AUTHORITIES_MAX 64
#define REFERENCES_CONNECTORS_MAX  10000
#define REFERENCES_SECRETS_MAX     1000
#define REFERENCES_ADDRESSES_MAX   8    /* of a name */
#define REFERENCES_NO_PROXY_MAX    1000 /* of a proxy */
#define REFERENCES_TEXT_MAX        2048 /* bytes of a reference, a url, a path */
#define REFERENCES_PROBES_MAX      64   /* of a kind */

struct references;

int references_new(struct references **ret, struct err *err) MUST_CHECK;
/* NULL is nothing. */
void references_free(struct references *references);
/*
 * Reads a document of a layer, in any order of layers; the document and its name must outlive what
 * is read. ERR_DOCUMENT names the place and what may stand there: nothing is left out in silence.
 * After a failure they are to be freed, or everything is to be denied.
 */
int references_add(struct references *references, enum layer layer, const char *name,
                   const yyjson_val *root, struct err *err) MUST_CHECK;

/* --- looking up: every `references` may be NULL, which has nothing ------------------------- */

/* The addresses of a name, as host_name_read leaves it; how many: 0 where no layer says any. */
size_t references_addresses(const struct references *references, struct str name,
                            struct address_range ret[REFERENCES_ADDRESSES_MAX]);
/* Of a name or an address. */
bool references_is_connector(const struct references *references, struct str host);

#define PROXY_SCHEME_TABLE(X)                                                                      \
    X(PROXY_BASIC, "basic")                                                                        \
    X(PROXY_BEARER, "bearer")                                                                      \
    X(PROXY_DIGEST, "digest")                                                                      \
    X(PROXY_NTLM, "ntlm")                                                                          \
    X(PROXY_NEGOTIATE, "negotiate")
enum proxy_scheme {
#define X(scheme, name) scheme,
    PROXY_SCHEME_TABLE(X)
#undef X
        PROXY_SCHEME_COUNT
};

enum proxy_kind { PROXY_DIRECT, PROXY_HTTP, PROXY_HTTPS, PROXY_SOCKS5 };

struct reference_proxy {
    struct str reference;
    enum layer layer;
    const char *document; /* that says so */
    enum proxy_kind kind;
    struct str url;                     /* as it is written; empty: direct */
    char host[HOST_NAME_BYTES_MAX + 1]; /* a name or an address */
    uint16_t port;
    struct str authorization; /* the reference of a secret; empty: it asks for none */
    enum proxy_scheme scheme;
    struct no_proxy *no_proxy;
    size_t no_proxy_count;
};

/* NULL where no layer says what it leads to. */
const struct reference_proxy *references_proxy(const struct references *references,
                                               struct str reference);
/* Whether it is shown one thing once; the others answer with a challenge, and libcurl speaks. */
bool reference_proxy_takes_one_round(const struct reference_proxy *proxy);
/* Whether a host (a name, or the address that was dialled) is reached without it. */
bool reference_proxy_leaves_out(const struct reference_proxy *proxy, struct str host,
                                uint16_t port);

/* A file of certificates, from the highest layer on. */
struct reference_authority {
    enum layer layer;
    const char *document;
    const char *path;
};
size_t references_authority_count(const struct references *references);
struct reference_authority references_authority(const struct references *references, size_t index);

/* What may be sent to find out about the network, from all layers. */
#define PROBE_KIND_TABLE(X)                                                                        \
    X(PROBE_NAME, "names")                                                                         \
    X(PROBE_PAGE, "pages")                                                                         \
    X(PROBE_HOST, "hosts")
#define PROBE_KIND_ENUM(kind, section) kind,
enum probe_kind { PROBE_KIND_TABLE(PROBE_KIND_ENUM) PROBE_KIND_COUNT };
#undef PROBE_KIND_ENUM
struct reference_probe {
    enum probe_kind kind;
    enum layer layer;
    struct str text;                    /* as it is written */
    char host[HOST_NAME_BYTES_MAX + 1]; /* a name as names are compared, or an address */
    uint16_t port;                      /* 0: of a name */
};
size_t references_probe_count(const struct references *references);
struct reference_probe references_probe(const struct references *references, size_t index);

/* Resolves a secret by the highest layer's map that has it; fails as secret_resolve. */
int references_secret(const struct references *references, struct str reference,
                      struct secret **ret, struct err *err) MUST_CHECK;
/* Calls visit for every reference of a secret; a negative return ends it. */
typedef int references_visit_secret(void *context, struct str reference, struct err *err);
int references_each_secret(const struct references *references, references_visit_secret *visit,
                           void *context, struct err *err) MUST_CHECK;
/*
 * What a proxy is shown, now and only now: the value of Proxy-Authorization, ended by a NUL; of
 * SOCKS5 too, whose login is what stands in `Basic …`; of a scheme that takes several rounds,
 * USER:PASSWORD. *ret is NULL where it asks for nothing, or for the user's tickets. A source that
 * is a command takes as long as it takes (SECRET_COMMAND_MS). Fails as secret_resolve;
 * ERR_DOCUMENT: the secret is none that can be shown.
 */
int references_authorize(const struct references *references, const struct reference_proxy *proxy,
                         struct secret **ret, struct err *err) MUST_CHECK;

#endif
