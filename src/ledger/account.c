/*
 * account: budgets as accounts that stand above one another.
 *
 * Theory of operation. An account has, in each dimension, a ceiling, what is
 * set aside (reserved) and what was used. A reservation is made in an account
 * and in every account above it, within the transaction of its batch: either
 * all of them can bear it, or the batch fails and none has it. Settling takes
 * the reservation out of the same accounts and charges what was used.
 *
 * Invariants.
 * 1. In every account and dimension with a ceiling, a reservation leaves
 *    used + reserved <= ceiling. Only settling can go beyond, by what was used
 *    without having been reserved; that part is `overshoot`, within `used`.
 * 2. `reserved` of an account is the sum of the shares of the reservations in
 *    it and below it.
 * 3. No sum wraps: reserving refuses one that would, settling stops at the
 *    largest integer, since what was used cannot be refused any more.
 *
 * An account never changes its parent, which must exist before it, so there
 * are no circles; LEDGER_ACCOUNT_DEPTH_MAX bounds the walk all the same.
 */
#include "ledger/internal.h"

struct balance {
    int64_t ceiling, reserved, used, overshoot;
};

struct level {
    int64_t number;
    int64_t parent; /* 0 at the top */
};

static int find_account(struct ledger *ledger, struct str account, struct level *ret,
                        struct err *err)
{
    int r = db_query(ledger->db, SQL_ACCOUNT_READ, err, "t", account);
    if (r == 0)
        return err_set(err, ERR_NOT_FOUND, STEP_LEDGER_WRITE, "there is no account %.*s",
                       STR_ARG(account));
    if (r < 0)
        return r;
    ret->number = db_int(ledger->db, SQL_ACCOUNT_READ, 0);
    ret->parent = db_int(ledger->db, SQL_ACCOUNT_READ, 1);
    db_reset(ledger->db, SQL_ACCOUNT_READ);
    return 0;
}

/* Appends the account's name, and says what stands above it. */
static int describe_account(struct ledger *ledger, int64_t number, struct buf *ret_id,
                            int64_t *ret_parent, struct err *err)
{
    int r = db_query(ledger->db, SQL_ACCOUNT_READ_BY_NUMBER, err, "i", number);
    if (r == 0)
        return err_set(err, ERR_DAMAGED, STEP_LEDGER_READ, "account number %lld is missing",
                       (long long)number);
    if (r < 0)
        return r;
    r = ret_id ? buf_add_str(ret_id, db_bytes(ledger->db, SQL_ACCOUNT_READ_BY_NUMBER, 0)) : 0;
    if (ret_parent)
        *ret_parent = db_int(ledger->db, SQL_ACCOUNT_READ_BY_NUMBER, 1);
    db_reset(ledger->db, SQL_ACCOUNT_READ_BY_NUMBER);
    return r < 0 ? err_set_errno(err, -r, STEP_LEDGER_READ, "an account's name") : 0;
}

/* Calls for the account and those above it, itself first; at most LEDGER_ACCOUNT_DEPTH_MAX. */
static int climb(struct ledger *ledger, struct level *level, int depth, struct err *err)
{
    if (level->parent == 0) {
        level->number = 0;
        return 0;
    }
    if (depth == LEDGER_ACCOUNT_DEPTH_MAX)
        return err_set(err, ERR_DAMAGED, STEP_LEDGER_WRITE,
                       "more than %d accounts stand above one another", LEDGER_ACCOUNT_DEPTH_MAX);
    level->number = level->parent;
    return describe_account(ledger, level->number, NULL, &level->parent, err);
}

static int read_balance(struct ledger *ledger, int64_t account, size_t dimension,
                        struct balance *ret, struct err *err)
{
    struct db *db = ledger->db;
    int r =
        db_query(db, SQL_BALANCE_READ, err, "it", account, str_from(dimension_names[dimension]));
    if (r == 0)
        return err_set(err, ERR_DAMAGED, STEP_LEDGER_READ, "account number %lld has no %s",
                       (long long)account, dimension_names[dimension]);
    if (r < 0)
        return r;
    ret->ceiling = db_int(db, SQL_BALANCE_READ, 0);
    ret->reserved = db_int(db, SQL_BALANCE_READ, 1);
    ret->used = db_int(db, SQL_BALANCE_READ, 2);
    ret->overshoot = db_int(db, SQL_BALANCE_READ, 3);
    db_reset(db, SQL_BALANCE_READ);
    return 0;
}

static int write_balance(struct ledger *ledger, int64_t account, size_t dimension,
                         const struct balance *balance, struct err *err)
{
    return db_query(ledger->db, SQL_BALANCE_WRITE, err, "itiii", account,
                    str_from(dimension_names[dimension]), balance->reserved, balance->used,
                    balance->overshoot);
}

/* --- opening ------------------------------------------------------------------------------- */

static int depth_of(struct ledger *ledger, struct level level, int *ret, struct err *err)
{
    int depth = 0, r = 0;
    while (r == 0 && level.number) {
        depth++;
        r = climb(ledger, &level, depth, err);
    }
    *ret = depth;
    return r;
}

int account_apply_open(struct ledger *ledger, struct batch_reader *reader, struct err *err)
{
    struct str account = batch_read_str(reader), parent = batch_read_str(reader);
    struct amounts limits;
    struct level above = { 0 };
    int depth = 0;
    batch_read_amounts(reader, &limits);
    if (reader->failed)
        return 0;
    int r = parent.len ? find_account(ledger, parent, &above, err) : 0;
    if (r == 0)
        r = depth_of(ledger, above, &depth, err);
    if (r < 0)
        return r;
    if (depth >= LEDGER_ACCOUNT_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, STEP_LEDGER_WRITE,
                       "at most %d accounts stand above one another", LEDGER_ACCOUNT_DEPTH_MAX);
    r = db_query(ledger->db, SQL_ACCOUNT_READ, err, "t", account);
    if (r > 0) {
        db_reset(ledger->db, SQL_ACCOUNT_READ);
        return err_set(err, ERR_CONFLICT, STEP_LEDGER_WRITE, "there is an account %.*s already",
                       STR_ARG(account));
    }
    if (r == 0)
        r = above.number ? db_query(ledger->db, SQL_ACCOUNT_ADD, err, "ti", account, above.number)
                         : db_query(ledger->db, SQL_ACCOUNT_ADD, err, "tn", account);
    int64_t number = db_last_number(ledger->db);
    for (size_t i = 0; i < DIMENSION_COUNT && r == 0; i++)
        r = db_query(ledger->db, SQL_BALANCE_ADD, err, "iti", number, str_from(dimension_names[i]),
                     limits.of[i]);
    return r;
}

/* What has no ceiling is not raised. */
static int raise_one(struct ledger *ledger, int64_t account, size_t dimension, int64_t more,
                     struct err *err)
{
    struct balance balance;
    int64_t ceiling;
    int r = read_balance(ledger, account, dimension, &balance, err);
    if (r < 0 || more == 0 || balance.ceiling < 0)
        return r;
    if (__builtin_add_overflow(balance.ceiling, more, &ceiling))
        return err_set(err, ERR_LIMIT, STEP_LEDGER_WRITE, "%s: the ceiling is too large to count",
                       dimension_names[dimension]);
    return db_query(ledger->db, SQL_BALANCE_RAISE, err, "iti", account,
                    str_from(dimension_names[dimension]), ceiling);
}

int account_apply_raise(struct ledger *ledger, struct batch_reader *reader, struct err *err)
{
    struct str account = batch_read_str(reader);
    struct amounts more;
    struct level level = { 0 };
    batch_read_amounts(reader, &more);
    if (reader->failed)
        return 0;
    int r = find_account(ledger, account, &level, err);
    for (size_t i = 0; i < DIMENSION_COUNT && r == 0; i++)
        r = raise_one(ledger, level.number, i, more.of[i], err);
    return r;
}

/* --- reserving ----------------------------------------------------------------------------- */

/* The refusal names the account whose ceiling it was; `where` is for programs. */
static int refuse(struct ledger *ledger, int64_t account, size_t dimension, int64_t amount,
                  const struct balance *balance, struct err *err)
{
    _cleanup_(buf_release) struct buf id = BUF_INIT;
    int r = describe_account(ledger, account, &id, NULL, err);
    if (r < 0)
        return r;
    const char *name = dimension_names[dimension];
    r = err_set(err, ERR_BUDGET, STEP_LEDGER_WRITE,
                "%s: %lld wanted, but of the %lld of %s, %lld are used and %lld reserved", name,
                (long long)amount, (long long)balance->ceiling, id.data, (long long)balance->used,
                (long long)balance->reserved);
    err_where(err, "%s %s", name, id.data);
    return r;
}

static int reserve_one(struct ledger *ledger, int64_t account, size_t dimension, int64_t amount,
                       struct err *err)
{
    struct balance balance;
    int64_t taken, total;
    int r = read_balance(ledger, account, dimension, &balance, err);
    if (r < 0)
        return r;
    bool wraps = __builtin_add_overflow(balance.used, balance.reserved, &taken) ||
                 __builtin_add_overflow(taken, amount, &total);
    if (balance.ceiling >= 0 && (wraps || total > balance.ceiling))
        return refuse(ledger, account, dimension, amount, &balance, err);
    if (wraps)
        return err_set(err, ERR_LIMIT, STEP_LEDGER_WRITE, "%s: the sum is too large to count",
                       dimension_names[dimension]);
    balance.reserved += amount;
    return write_balance(ledger, account, dimension, &balance, err);
}

static int add_reservation(struct ledger *ledger, struct str reservation, int64_t account,
                           const struct amounts *amounts, const struct holder *holder,
                           struct err *err)
{
    struct db *db = ledger->db;
    int r = db_query(db, SQL_RESERVATION_READ, err, "t", reservation);
    if (r > 0) {
        db_reset(db, SQL_RESERVATION_READ);
        return err_set(err, ERR_CONFLICT, STEP_LEDGER_WRITE, "there is a reservation %.*s already",
                       STR_ARG(reservation));
    }
    if (r == 0)
        r = db_query(db, SQL_RESERVATION_ADD, err, "tiiit", reservation, account, holder->pid,
                     holder->start_ticks, str_from(holder->boot_id));
    int64_t number = db_last_number(db);
    for (size_t i = 0; i < DIMENSION_COUNT && r == 0; i++)
        if (amounts->of[i] > 0)
            r = db_query(db, SQL_SHARE_ADD, err, "iti", number, str_from(dimension_names[i]),
                         amounts->of[i]);
    return r;
}

int account_apply_reserve(struct ledger *ledger, struct batch_reader *reader, struct err *err)
{
    struct str reservation = batch_read_str(reader), account = batch_read_str(reader);
    struct amounts amounts;
    struct holder holder;
    struct level level;
    batch_read_amounts(reader, &amounts);
    batch_read_holder(reader, &holder);
    if (reader->failed)
        return 0;
    int r = find_account(ledger, account, &level, err);
    if (r == 0)
        r = add_reservation(ledger, reservation, level.number, &amounts, &holder, err);
    for (int depth = 1; r == 0 && level.number; depth++) {
        for (size_t i = 0; i < DIMENSION_COUNT && r == 0; i++)
            if (amounts.of[i] > 0)
                r = reserve_one(ledger, level.number, i, amounts.of[i], err);
        if (r == 0)
            r = climb(ledger, &level, depth, err);
    }
    return r;
}

/* --- settling ------------------------------------------------------------------------------ */

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int settle_one(struct ledger *ledger, int64_t account, size_t dimension, int64_t reserved,
                      int64_t used, struct err *err)
{
    struct balance balance;
    int r = read_balance(ledger, account, dimension, &balance, err);
    if (r < 0)
        return r;
    if (balance.reserved < reserved)
        return err_set(err, ERR_DAMAGED, STEP_LEDGER_WRITE,
                       "account number %lld has less %s reserved than its reservations",
                       (long long)account, dimension_names[dimension]);
    balance.reserved -= reserved;
    balance.used = add_saturated(balance.used, used);
    if (used > reserved)
        balance.overshoot = add_saturated(balance.overshoot, used - reserved);
    return write_balance(ledger, account, dimension, &balance, err);
}

static int read_shares(struct ledger *ledger, int64_t reservation, struct amounts *ret,
                       struct err *err)
{
    struct db *db = ledger->db;
    *ret = (struct amounts){ 0 };
    int r = db_query(db, SQL_SHARE_READ, err, "i", reservation);
    for (; r > 0; r = db_next(db, SQL_SHARE_READ, err)) {
        int dimension =
            vocabulary_index(dimension_names, DIMENSION_COUNT, db_bytes(db, SQL_SHARE_READ, 0));
        if (dimension >= 0)
            ret->of[dimension] = db_int(db, SQL_SHARE_READ, 1);
    }
    return r;
}

int account_apply_settle(struct ledger *ledger, struct batch_reader *reader, struct err *err)
{
    struct db *db = ledger->db;
    struct str reservation = batch_read_str(reader);
    struct amounts used, reserved;
    batch_read_amounts(reader, &used);
    if (reader->failed)
        return 0;
    int r = db_query(db, SQL_RESERVATION_READ, err, "t", reservation);
    if (r == 0)
        return err_set(err, ERR_NOT_FOUND, STEP_LEDGER_WRITE, "there is no reservation %.*s",
                       STR_ARG(reservation));
    if (r < 0)
        return r;
    int64_t number = db_int(db, SQL_RESERVATION_READ, 0);
    struct level level = { .parent = db_int(db, SQL_RESERVATION_READ, 1) };
    db_reset(db, SQL_RESERVATION_READ);
    r = read_shares(ledger, number, &reserved, err);
    if (r == 0)
        r = climb(ledger, &level, 0, err);
    for (int depth = 1; r == 0 && level.number; depth++) {
        for (size_t i = 0; i < DIMENSION_COUNT && r == 0; i++)
            if (reserved.of[i] > 0 || used.of[i] > 0)
                r = settle_one(ledger, level.number, i, reserved.of[i], used.of[i], err);
        if (r == 0)
            r = climb(ledger, &level, depth, err);
    }
    if (r == 0)
        r = db_query(db, SQL_SHARE_REMOVE, err, "i", number);
    return r < 0 ? r : db_query(db, SQL_RESERVATION_REMOVE, err, "i", number);
}

/* --- reading ------------------------------------------------------------------------------- */

static int read_account(struct ledger *ledger, struct str account, struct account *ret,
                        struct err *err)
{
    struct level level;
    _cleanup_(buf_release) struct buf parent = BUF_INIT_LIMIT(sizeof(ret->parent) - 1);
    int r = find_account(ledger, account, &level, err);
    if (r == 0 && level.parent)
        r = describe_account(ledger, level.parent, &parent, NULL, err);
    for (size_t i = 0; i < DIMENSION_COUNT && r == 0; i++) {
        struct balance balance = { 0 };
        r = read_balance(ledger, level.number, i, &balance, err);
        ret->limits.of[i] = balance.ceiling;
        ret->reserved.of[i] = balance.reserved;
        ret->used.of[i] = balance.used;
        ret->overshoot.of[i] = balance.overshoot;
    }
    if (r == 0)
        memcpy(ret->parent, parent.data, parent.len);
    return r;
}

int ledger_get_account(struct ledger *ledger, struct str account, struct account *ret,
                       struct err *err)
{
    struct account found = { 0 };
    int r = ledger_snapshot_begin(ledger, err);
    if (r < 0)
        return r;
    r = ledger_snapshot_end(ledger, read_account(ledger, account, &found, err), err);
    if (r == 0)
        *ret = found;
    return r;
}

struct open_reservation {
    int64_t number;
    struct buf id, account;
    struct amounts amounts;
    struct holder holder;
};

/* Copies the next reservation behind a number, so that visit may use the ledger: 1, 0, -errno. */
static int next_reservation(struct ledger *ledger, int64_t behind, struct open_reservation *ret,
                            struct err *err)
{
    struct db *db = ledger->db;
    int r = db_query(db, SQL_RESERVATION_EACH, err, "i", behind);
    if (r <= 0)
        return r;
    buf_reset(&ret->id);
    buf_reset(&ret->account);
    ret->number = db_int(db, SQL_RESERVATION_EACH, 0);
    buf_add_str(&ret->id, db_bytes(db, SQL_RESERVATION_EACH, 1));
    buf_add_str(&ret->account, db_bytes(db, SQL_RESERVATION_EACH, 2));
    ret->holder = (struct holder){ .pid = db_int(db, SQL_RESERVATION_EACH, 3),
                                   .start_ticks = db_int(db, SQL_RESERVATION_EACH, 4) };
    struct str boot_id = db_bytes(db, SQL_RESERVATION_EACH, 5);
    if (boot_id.len < sizeof(ret->holder.boot_id))
        memcpy(ret->holder.boot_id, boot_id.ptr, boot_id.len);
    db_reset(db, SQL_RESERVATION_EACH);
    if (ret->id.error || ret->account.error)
        return err_set(err, ERR_MEMORY, STEP_LEDGER_READ, "no memory for a reservation");
    r = read_shares(ledger, ret->number, &ret->amounts, err);
    return r < 0 ? r : 1;
}

int ledger_each_reservation(struct ledger *ledger, ledger_visit_reservation *visit, void *context,
                            struct err *err)
{
    struct open_reservation found = { .id = BUF_INIT, .account = BUF_INIT };
    int r;
    for (;;) {
        r = ledger_snapshot_begin(ledger, err);
        if (r == 0)
            r = ledger_snapshot_end(ledger, next_reservation(ledger, found.number, &found, err),
                                    err);
        if (r <= 0)
            break;
        r = visit(context, buf_str(&found.id), buf_str(&found.account), &found.amounts,
                  &found.holder, err);
        if (r != 0)
            break;
    }
    buf_release(&found.id);
    buf_release(&found.account);
    return r < 0 ? r : 0;
}
