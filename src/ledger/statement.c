/* statement: the text of every statement, by enum statement (see db.h). */
#include "ledger/db.h"

const char *const statement_texts[STATEMENT_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_SAVEPOINT] = "SAVEPOINT batch",
    [SQL_SAVEPOINT_KEEP] = "RELEASE batch",
    [SQL_SAVEPOINT_UNDO] = "ROLLBACK TO batch",

    [SQL_ID_READ] = "SELECT ledger FROM head",
    [SQL_HEAD_READ] = "SELECT size, digest, frontier FROM head",
    [SQL_HEAD_WRITE] = "UPDATE head SET size = ?1, digest = ?2, frontier = ?3",
    [SQL_SIZE_READ] = "SELECT size FROM head",
    [SQL_COMMITTED_READ] = "SELECT tickets FROM committed WHERE queue = ?1",
    [SQL_COMMITTED_ADD] = "INSERT INTO committed (queue, size, tickets) VALUES (?1, ?2, ?3)",
    [SQL_COMMITTED_WRITE] = "UPDATE committed SET size = ?2, tickets = ?3 WHERE queue = ?1",
    [SQL_COMMITTED_PRUNE] = "DELETE FROM committed WHERE queue NOT IN"
                            " (SELECT queue FROM committed ORDER BY size DESC LIMIT ?1)",

    [SQL_EVENT_ADD] = "INSERT INTO event (sequence, previous, json) VALUES (?1, ?2, ?3)",
    [SQL_EVENT_READ] = "SELECT previous, json FROM event WHERE sequence = ?1",
    [SQL_EVENT_EACH] = "SELECT sequence, previous, json FROM event WHERE sequence >= ?1"
                       " ORDER BY sequence",
    [SQL_EVENT_FIND] = "SELECT sequence, json FROM event WHERE instr(json, ?1)"
                       " ORDER BY sequence DESC",
    [SQL_EVENT_LAST] = "SELECT sequence FROM event ORDER BY sequence DESC LIMIT 1",
    [SQL_SUBTREE_ADD] = "INSERT INTO subtree (number, root) VALUES (?1, ?2)",
    [SQL_SUBTREE_READ] = "SELECT root FROM subtree WHERE number = ?1",

    [SQL_OPERATION_READ] = "SELECT number, last FROM operation WHERE id = ?1",
    [SQL_OPERATION_ADD] = "INSERT INTO operation (id, last) VALUES (?1, ?2)",
    [SQL_OPERATION_WRITE] = "UPDATE operation SET last = ?2 WHERE number = ?1",
    [SQL_OPERATION_EACH] = "SELECT id, last FROM operation ORDER BY number",

    [SQL_DOCUMENT_READ] = "SELECT number, revision, json FROM document WHERE id = ?1",
    [SQL_DOCUMENT_ADD] = "INSERT INTO document (id, type, operation, revision, json)"
                         " VALUES (?1, ?2, ?3, 1, ?4)",
    [SQL_DOCUMENT_WRITE] = "UPDATE document SET type = ?2, operation = ?3, revision = revision + 1,"
                           " json = ?4 WHERE number = ?1",
    [SQL_DOCUMENT_EACH] = "SELECT number, id, revision, json FROM document"
                          " WHERE type = ?1 AND number > ?2 ORDER BY number",
    [SQL_DOCUMENT_EACH_OF_OPERATION] =
        "SELECT number, id, revision, json FROM document"
        " WHERE operation = ?3 AND type = ?1 AND number > ?2 ORDER BY number",

    [SQL_NAME_READ] = "SELECT value FROM name WHERE space = ?1 AND name = ?2",
    [SQL_NAME_ADD] = "INSERT INTO name (space, name, value) VALUES (?1, ?2, ?3)",

    [SQL_ACCOUNT_READ] = "SELECT number, parent FROM account WHERE id = ?1",
    [SQL_ACCOUNT_READ_BY_NUMBER] = "SELECT id, parent FROM account WHERE number = ?1",
    [SQL_ACCOUNT_ADD] = "INSERT INTO account (id, parent) VALUES (?1, ?2)",
    [SQL_BALANCE_READ] = "SELECT ceiling, reserved, used, overshoot FROM balance"
                         " WHERE account = ?1 AND dimension = ?2",
    [SQL_BALANCE_ADD] = "INSERT INTO balance (account, dimension, ceiling, reserved, used,"
                        " overshoot) VALUES (?1, ?2, ?3, 0, 0, 0)",
    [SQL_BALANCE_WRITE] = "UPDATE balance SET reserved = ?3, used = ?4, overshoot = ?5"
                          " WHERE account = ?1 AND dimension = ?2",
    [SQL_BALANCE_RAISE] = "UPDATE balance SET ceiling = ?3 WHERE account = ?1 AND dimension = ?2",

    [SQL_RESERVATION_READ] = "SELECT number, account FROM reservation WHERE id = ?1",
    [SQL_RESERVATION_ADD] = "INSERT INTO reservation (id, account, pid, startTicks, bootId)"
                            " VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_RESERVATION_REMOVE] = "DELETE FROM reservation WHERE number = ?1",
    [SQL_RESERVATION_EACH] =
        "SELECT r.number, r.id, a.id, r.pid, r.startTicks, r.bootId FROM reservation r"
        " JOIN account a ON a.number = r.account WHERE r.number > ?1 ORDER BY r.number",
    [SQL_SHARE_READ] = "SELECT dimension, amount FROM share WHERE reservation = ?1",
    [SQL_SHARE_ADD] = "INSERT INTO share (reservation, dimension, amount) VALUES (?1, ?2, ?3)",
    [SQL_SHARE_REMOVE] = "DELETE FROM share WHERE reservation = ?1",
};
