/* Hellos are OpenSSL's own where not said otherwise: what a client sends, not what we think of it.
 */
#include "doors/network/client_hello.h"

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/lazy.h"
#include "base/test.h"

#define SSL_FUNCTIONS(X)                                                                           \
    X(TLS_client_method)                                                                           \
    X(SSL_CTX_new)                                                                                 \
    X(SSL_CTX_free)                                                                                \
    X(SSL_CTX_ctrl)                                                                                \
    X(SSL_CTX_set_alpn_protos) X(SSL_new) X(SSL_free) X(SSL_ctrl) X(SSL_set_bio) X(SSL_connect)
#define BIO_FUNCTIONS(X) X(BIO_new) X(BIO_s_mem) X(BIO_read)
LAZY_LIBRARY(ssl, "libssl.so.3", SSL_FUNCTIONS)
LAZY_LIBRARY(crypto, "libcrypto.so.3", BIO_FUNCTIONS)

#define BULK 3000 /* more than two segments of an Ethernet, as post-quantum key shares are */

struct wish {
    const char *name;
    size_t bulk;         /* bytes of protocols offered, in short names */
    size_t record_bytes; /* 0: as the library likes */
    int version;         /* 0: any */
};

static void say_hello(const struct wish *wish, struct buf *ret)
{
    unsigned char protocols[BULK], bytes[CLIENT_HELLO_BYTES_MAX];
    if (lazy_load(&ssl_library, NULL) < 0 || lazy_load(&crypto_library, NULL) < 0) {
        test_skip("there is no libssl");
        return;
    }
    SSL_CTX *context = ssl.SSL_CTX_new(ssl.TLS_client_method());
    if (wish->version)
        ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, wish->version, NULL);
    if (wish->record_bytes)
        ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_SEND_FRAGMENT, (long)wish->record_bytes, NULL);
    for (size_t i = 0; i < wish->bulk; i++)
        protocols[i] = i % 10 ? 'p' : 9;
    if (wish->bulk)
        CHECK_INT(ssl.SSL_CTX_set_alpn_protos(context, protocols, (unsigned)wish->bulk), 0);
    SSL *client = ssl.SSL_new(context);
    BIO *in = crypto.BIO_new(crypto.BIO_s_mem()), *out = crypto.BIO_new(crypto.BIO_s_mem());
    ssl.SSL_set_bio(client, in, out);
    if (wish->name) {
        char name[256];
        snprintf(name, sizeof(name), "%s", wish->name);
        ssl.SSL_ctrl(client, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name);
    }
    CHECK_INT(ssl.SSL_connect(client), -1);
    int len = crypto.BIO_read(out, bytes, sizeof(bytes));
    CHECK(len > 0);
    buf_add(ret, bytes, len > 0 ? (size_t)len : 0);
    ssl.SSL_free(client);
    ssl.SSL_CTX_free(context);
}

/* However the bytes are cut: more is wanted until the last of them is there. */
static void check_hello(const struct wish *wish, enum client_hello expected, const char *name)
{
    struct buf hello = BUF_INIT;
    struct host_name found = { "" };
    say_hello(wish, &hello);
    for (size_t len = 0; len < hello.len; len++)
        CHECK_INT(client_hello_read(str_make(hello.data, len), &found), CLIENT_HELLO_MORE);
    if (hello.len) {
        CHECK_INT(client_hello_read(buf_str(&hello), &found), expected);
        CHECK_TEXT(found.text, name);
        buf_add_text(&hello, "and what the client sends next");
        CHECK_INT(client_hello_read(buf_str(&hello), &found), expected);
    }
    buf_release(&hello);
}

TEST(the_name_is_read_from_what_a_client_sends)
{
    check_hello(&(struct wish){ .name = "api.example.com" }, CLIENT_HELLO_NAME, "api.example.com");
    check_hello(&(struct wish){ .name = "old.example.com", .version = TLS1_2_VERSION },
                CLIENT_HELLO_NAME, "old.example.com");
}

TEST(the_name_is_read_over_segments_and_records)
{
    check_hello(&(struct wish){ .name = "big.example.com", .bulk = BULK }, CLIENT_HELLO_NAME,
                "big.example.com");
    check_hello(&(struct wish){ .name = "cut.example.com", .bulk = BULK, .record_bytes = 512 },
                CLIENT_HELLO_NAME, "cut.example.com");
}

TEST(case_and_the_dot_at_the_end_make_no_other_name)
{
    check_hello(&(struct wish){ .name = "API.Example.COM." }, CLIENT_HELLO_NAME, "api.example.com");
}

TEST(a_hello_without_a_name_has_none)
{
    check_hello(&(struct wish){ 0 }, CLIENT_HELLO_NO_NAME, "");
}

TEST(an_address_or_other_bytes_are_no_name)
{
    check_hello(&(struct wish){ .name = "127.0.0.1" }, CLIENT_HELLO_ODD_NAME, "");
    check_hello(&(struct wish){ .name = "0x7f.1" }, CLIENT_HELLO_ODD_NAME, "");
    check_hello(&(struct wish){ .name = "::1" }, CLIENT_HELLO_ODD_NAME, "");
    check_hello(&(struct wish){ .name = "b\303\274cher.example" }, CLIENT_HELLO_ODD_NAME, "");
    check_hello(&(struct wish){ .name = "a b.example" }, CLIENT_HELLO_ODD_NAME, "");
}

/* --- what no library would send ------------------------------------------------------------ */

static void put_number(struct buf *out, size_t number, size_t bytes)
{
    while (bytes--)
        buf_add_char(out, (char)(number >> (8 * bytes)));
}

static void put_name(struct buf *list, unsigned type, struct str name)
{
    put_number(list, type, 1);
    put_number(list, name.len, 2);
    buf_add_str(list, name);
}

static void put_extension(struct buf *extensions, unsigned type, const struct buf *list)
{
    put_number(extensions, type, 2);
    put_number(extensions, list->len + 2, 2);
    put_number(extensions, list->len, 2);
    buf_add_str(extensions, buf_str(list));
}

/* Puts a message with these extensions into records of so many bytes. */
static void put_hello(struct buf *ret, const struct buf *extensions, size_t record_bytes)
{
    struct buf body = BUF_INIT;
    char random[32] = { 0 };
    put_number(&body, 1, 1);
    put_number(&body, 2 + 32 + 1 + 4 + 2 + 2 + extensions->len, 3);
    put_number(&body, 0x0303, 2);
    buf_add(&body, random, sizeof(random));
    put_number(&body, 0, 1);
    put_number(&body, 2, 2);
    put_number(&body, 0x1301, 2);
    put_number(&body, 1, 1);
    put_number(&body, 0, 1);
    put_number(&body, extensions->len, 2);
    buf_add_str(&body, buf_str(extensions));
    for (size_t at = 0; at < body.len; at += record_bytes) {
        size_t len = body.len - at < record_bytes ? body.len - at : record_bytes;
        put_number(ret, 0x160301, 3);
        put_number(ret, len, 2);
        buf_add(ret, body.data + at, len);
    }
    buf_release(&body);
}

static enum client_hello read_made(const struct buf *extensions, size_t record_bytes,
                                   struct host_name *ret)
{
    struct buf hello = BUF_INIT;
    put_hello(&hello, extensions, record_bytes);
    enum client_hello found = client_hello_read(buf_str(&hello), ret);
    buf_release(&hello);
    return found;
}

TEST(two_names_are_none_wherever_they_stand)
{
    struct buf list = BUF_INIT, one = BUF_INIT, extensions = BUF_INIT;
    struct host_name name;
    put_name(&list, 0, STR("a.example"));
    put_extension(&one, 0, &list);
    CHECK_INT(read_made(&one, 4096, &name), CLIENT_HELLO_NAME);
    CHECK_INT(read_made(&one, 1, &name), CLIENT_HELLO_NAME);
    put_extension(&extensions, 0, &list);
    put_extension(&extensions, 0, &list);
    CHECK_INT(read_made(&extensions, 4096, &name), CLIENT_HELLO_ODD_NAME);
    buf_reset(&extensions);
    put_name(&list, 0, STR("b.example"));
    put_extension(&extensions, 0, &list);
    CHECK_INT(read_made(&extensions, 4096, &name), CLIENT_HELLO_ODD_NAME);
    buf_release(&list);
    buf_release(&one);
    buf_release(&extensions);
}

TEST(names_with_nul_of_another_type_or_of_no_length_are_none)
{
    static const struct {
        unsigned type;
        struct str name;
    } odd[] = { { 0, STR("a.example\0.b.example") },
                { 1, STR("a.example") },
                { 0, STR("") },
                { 0, STR("a..example") },
                { 0, STR("*.example") },
                { 0, STR(".") } };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct buf list = BUF_INIT, extensions = BUF_INIT;
        struct host_name name;
        put_name(&list, odd[i].type, odd[i].name);
        put_extension(&extensions, 0, &list);
        CHECK_INT(read_made(&extensions, 4096, &name), CLIENT_HELLO_ODD_NAME);
        buf_release(&list);
        buf_release(&extensions);
    }
}

TEST(lengths_that_do_not_agree_are_no_hello)
{
    struct buf list = BUF_INIT, extensions = BUF_INIT, hello = BUF_INIT;
    struct host_name name;
    put_name(&list, 0, STR("a.example"));
    put_extension(&extensions, 0, &list);
    put_number(&extensions, 0, 1);
    CHECK_INT(read_made(&extensions, 4096, &name), CLIENT_HELLO_NOT_TLS);
    extensions.len--;
    put_hello(&hello, &extensions, 4096);
    hello.data[5 + 4 + 34 + 1 + 4 + 2 + 2 + 5]++; /* the list's own length */
    CHECK_INT(client_hello_read(buf_str(&hello), &name), CLIENT_HELLO_NOT_TLS);
    buf_release(&list);
    buf_release(&extensions);
    buf_release(&hello);
}

TEST(what_is_no_tls_is_known_by_its_first_bytes)
{
    static const struct str others[] = {
        STR("G"),
        STR("SSH-2.0-x\r\n"),
        STR("\x16\x02"),
        STR("\x80\x2e\x01\x03"),
        STR("\x16\x03\x01\0\0"),
        STR("\x16\x03\x01\x40\x01"),
        STR("\x15\x03"),
        STR("\0"),
        STR("\x16\x03\x01\0\x04\x02"),
    };
    struct host_name name;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        CHECK_INT(client_hello_read(others[i], &name), CLIENT_HELLO_NOT_TLS);
    CHECK_INT(client_hello_read(STR(""), &name), CLIENT_HELLO_MORE);
    CHECK_INT(client_hello_read(STR("\x16\x03\x01\x01\0\x01\0\x7f\xf0"), &name), CLIENT_HELLO_MORE);
}

TEST(a_hello_is_not_waited_for_beyond_its_limit)
{
    struct buf hello = BUF_INIT;
    struct host_name name;
    CHECK_INT(client_hello_read(STR("\x16\x03\x01\x40\0\x01\x01\0\0"), &name),
              CLIENT_HELLO_TOO_LONG);
    /* Within the limit itself, in records of a byte each. */
    static const char head[] = { 1, 0, 0x70, 0 };
    for (size_t i = 0; hello.len < CLIENT_HELLO_BYTES_MAX - 6; i++) {
        put_number(&hello, 0x1603010001, 5);
        put_number(&hello, i < 4 ? (unsigned char)head[i] : 0, 1);
        CHECK_INT(client_hello_read(buf_str(&hello), &name), CLIENT_HELLO_MORE);
    }
    put_number(&hello, 0x160301000100, 6);
    put_number(&hello, 0x160301000100, 6);
    CHECK_INT(client_hello_read(buf_str(&hello), &name), CLIENT_HELLO_TOO_LONG);
    buf_release(&hello);
}
