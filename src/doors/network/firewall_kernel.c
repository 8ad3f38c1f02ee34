/*
 * firewall_kernel: see the header.
 *
 * libnftables parses a text as nft does and hands it to the kernel as one batch
 * of netlink messages. It says what went wrong in words alone, which are the
 * kernel's errno behind them. It is loaded when a plan is applied and by no
 * launch: the door speaks netlink by itself.
 *
 * Only names that firewall_table_is accepts get into a command.
 */
#include "doors/network/firewall_kernel.h"

#include <linux/capability.h>
#include <nftables/libnftables.h>
#include <sys/syscall.h>

#include "base/lazy.h"

#define STEP          "speak to nftables"
#define TABLE_PREFIX  "agent_machine_"
#define TABLE_LEN_MAX 127
#define SHOWN_MAX     300
#define COMMAND_SIZE  (TABLE_LEN_MAX + 64)

#define NFT_FUNCTIONS(X)                                                                           \
    X(nft_ctx_new)                                                                                 \
    X(nft_ctx_free)                                                                                \
    X(nft_ctx_buffer_output)                                                                       \
    X(nft_ctx_buffer_error)                                                                        \
    X(nft_ctx_get_output_buffer)                                                                   \
    X(nft_ctx_get_error_buffer)                                                                    \
    X(nft_ctx_output_set_flags)                                                                    \
    X(nft_run_cmd_from_buffer)
LAZY_LIBRARY(nft, "libnftables.so.1", NFT_FUNCTIONS)

bool firewall_table_is(struct str name)
{
    if (!str_starts(name, STR(TABLE_PREFIX)) || name.len > TABLE_LEN_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return name.len > strlen(TABLE_PREFIX);
}

static bool says(const char *said, int error_number)
{
    return strstr(said, strerror(error_number)) != NULL;
}

static int not_permitted(struct err *err)
{
    return err_set(err, ERR_DENIED, STEP,
                   "the kernel lets only who administers this network do that; as root it would");
}

/* Asked beforehand, because libnftables prints its own word about it. */
static bool may_administer(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
    return syscall(SYS_capget, &header, data) == 0 && data[0].effective >> CAP_NET_ADMIN & 1;
}

static int refused(const char *said, struct err *err)
{
    if (says(said, EPERM) || says(said, EACCES))
        return not_permitted(err);
    if (says(said, ENOENT))
        return err_set(err, ERR_NOT_FOUND, STEP, "it is not there");
    if (says(said, EOPNOTSUPP) || says(said, EPROTONOSUPPORT))
        return err_set(err, ERR_UNSUPPORTED, STEP, "the kernel has not what the rules need: %.*s",
                       SHOWN_MAX, said);
    return err_set(err, ERR_IO, STEP, "%.*s", SHOWN_MAX, said);
}

/* Runs commands; what they print is appended where `ret` is not NULL. */
static int run(const char *commands, struct buf *ret, struct err *err)
{
    int r = may_administer() ? lazy_load(&nft_library, err) : not_permitted(err);
    if (r < 0)
        return r;
    struct nft_ctx *context = nft.nft_ctx_new(NFT_CTX_DEFAULT);
    if (!context || nft.nft_ctx_buffer_output(context) || nft.nft_ctx_buffer_error(context)) {
        if (context)
            nft.nft_ctx_free(context);
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    }
    nft.nft_ctx_output_set_flags(context, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_ALL);
    if (nft.nft_run_cmd_from_buffer(context, commands))
        r = refused(nft.nft_ctx_get_error_buffer(context), err);
    else if (ret && buf_add_text(ret, nft.nft_ctx_get_output_buffer(context)) < 0)
        r = err_set(err, ERR_LIMIT, STEP, "the table is too large to be listed");
    nft.nft_ctx_free(context);
    return r;
}

int firewall_kernel_load(struct str text, struct err *err)
{
    _cleanup_(buf_release) struct buf commands = BUF_INIT;
    if (memchr(text.ptr, '\0', text.len))
        return err_set(err, ERR_SYNTAX, STEP, "the text is none");
    return buf_add_str(&commands, text) < 0
               ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory")
               : run(commands.data, NULL, err);
}

static int run_about(const char *verb, struct str table, struct buf *ret, struct err *err)
{
    char command[COMMAND_SIZE];
    struct err inner = { 0 };
    if (!firewall_table_is(table))
        return err_set(err, ERR_USAGE, STEP, "`%.*s` is no table of a plan's", STR_ARG(table));
    snprintf(command, sizeof(command), "%s table inet %.*s", verb, STR_ARG(table));
    int r = run(command, ret, &inner);
    if (r == 0)
        return 1;
    if (inner.code == ERR_NOT_FOUND)
        return 0;
    if (err)
        *err = inner;
    return r;
}

int firewall_kernel_list(struct str table, struct buf *ret, struct err *err)
{
    return run_about("list", table, ret, err);
}

int firewall_kernel_remove(struct str table, struct err *err)
{
    return run_about("delete", table, NULL, err);
}
