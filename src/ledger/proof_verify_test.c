#include <sqlite3.h>

#include "base/lazy.h"
#include "ledger/internal.h"
#include "ledger/proof.h"
#include "ledger/testing.h"

#define SQLITE_FUNCTIONS(X) X(sqlite3_open) X(sqlite3_exec) X(sqlite3_close)
LIBRARY(AM_EMBEDS_SQLITE, other, "libsqlite3.so.0", SQLITE_FUNCTIONS)

static void tamper(const struct folder *folder, const char *sql)
{
    sqlite3 *handle = NULL;
    char *message = NULL;
    CHECK_INT(lazy_load(&other_library, NULL), 0);
    CHECK_INT(other.sqlite3_open(folder_file(folder, "ledger.db"), &handle), SQLITE_OK);
    if (other.sqlite3_exec(handle, sql, NULL, NULL, &message) != SQLITE_OK)
        test_fail(__FILE__, __LINE__, "%s: %s", sql, message);
    other.sqlite3_close(handle);
}

static int verify(const struct folder *folder, const struct tree_head *against, struct err *err)
{
    struct ledger *ledger = ledger_of(folder, LEDGER_READ);
    int r = proof_verify(ledger, against, NULL, NULL, err);
    ledger_close(ledger);
    return r;
}

TEST(every_size_that_was_written_verifies)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    int64_t events = -1;
    uint64_t bytes = 0;
    CHECK_OK(proof_verify(ledger, NULL, &events, &bytes, &err));
    CHECK_INT(events, 0);
    for (int i = 0; i < 70; i++) {
        CHECK_OK(commit_event(ledger, "e", i % 3 ? "op" : "", NULL, &err));
        CHECK_OK(proof_verify(ledger, NULL, &events, &bytes, &err));
        CHECK_INT(events, i + 1);
    }
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(ledger_of_many_events_verifies_by_threads)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    int64_t events = 0;
    uint64_t bytes = 0;
    fill_ledger(ledger, 9000);
    CHECK_OK(proof_verify(ledger, NULL, &events, &bytes, &err));
    CHECK_INT(events, 9000);
    CHECK(bytes > 9000 * 200);
    ledger_close(ledger);
    tamper(&folder, "UPDATE event SET json = replace(json, 'progress', 'complete')"
                    " WHERE sequence = 7777");
    CHECK_INT(verify(&folder, NULL, &err), -EBADF);
    CHECK_TEXT(err.where, "event 7777");
    folder_remove(&folder);
}

#define SHIFT_UP(from)                                                                             \
    "UPDATE event SET sequence = sequence + 1000 WHERE sequence >= " #from ";"                     \
    "UPDATE event SET sequence = sequence - 999 WHERE sequence >= 1000;"
#define SHIFT_DOWN(from)                                                                           \
    "UPDATE event SET sequence = sequence + 1000 WHERE sequence >= " #from ";"                     \
    "UPDATE event SET sequence = sequence - 1001 WHERE sequence >= 1000;"

TEST(tampering_is_found_and_the_first_event_at_fault_named)
{
    static const struct {
        const char *what, *sql, *where;
    } rows[] = {
        { "changed at the beginning",
          "UPDATE event SET json = replace(json, 'ada', 'eve') WHERE sequence = 0", "event 0" },
        { "changed in the middle",
          "UPDATE event SET json = replace(json, 'ada', 'eve') WHERE sequence = 50", "event 50" },
        { "changed at the end",
          "UPDATE event SET json = replace(json, 'ada', 'eve') WHERE sequence = 99", "event 99" },
        { "another digest of the one before",
          "UPDATE event SET json = substr(json, 1, instr(json, 'sha256:') + 6) ||"
          " '0123456789012345678901234567890123456789012345678901234567890123' ||"
          " substr(json, instr(json, 'sha256:') + 71) WHERE sequence = 50",
          "event 50" },
        { "another digest in the last",
          "UPDATE event SET json = substr(json, 1, instr(json, 'sha256:') + 6) ||"
          " '0123456789012345678901234567890123456789012345678901234567890123' ||"
          " substr(json, instr(json, 'sha256:') + 71) WHERE sequence = 99",
          "event 99" },
        { "no JSON any more", "UPDATE event SET json = '{' WHERE sequence = 31", "event 31" },
        { "removed", "DELETE FROM event WHERE sequence = 42", "event 42" },
        { "removed at the beginning", "DELETE FROM event WHERE sequence = 0", "event 0" },
        { "removed, and the rest moved up", "DELETE FROM event WHERE sequence = 42;" SHIFT_DOWN(43),
          "event 42" },
        { "two reordered",
          "UPDATE event SET sequence = -1 WHERE sequence = 20;"
          "UPDATE event SET sequence = 20 WHERE sequence = 60;"
          "UPDATE event SET sequence = 60 WHERE sequence = -1",
          "event 20" },
        { "truncated", "DELETE FROM event WHERE sequence >= 90", "event 90" },
        { "emptied", "DELETE FROM event", "event 0" },
        { "inserted, and the rest moved down",
          SHIFT_UP(30) "INSERT INTO event SELECT 30, previous, replace(json, 'ada', 'eve')"
                       " FROM event WHERE sequence = 31",
          "event 30" },
        { "inserted without a chain",
          SHIFT_UP(
              30) "INSERT INTO event VALUES (30, NULL, '{\"sequence\":30,\"previousDigest\":"
                  "\"sha256:1123456789012345678901234567890123456789012345678901234567890123\"}"
                  "')",
          "event 30" },
        { "appended behind the end",
          "INSERT INTO event SELECT 100, 98, json FROM event WHERE sequence = 99", "event 100" },
        { "hidden from its operation", "UPDATE event SET previous = 40 WHERE sequence = 44",
          "event 44" },
        { "cut off from its operation", "UPDATE operation SET last = last - 2 WHERE number = 1",
          "event 98" },
    };
    struct folder folder = folder_make();
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct err err = { 0 };
    fill_ledger(ledger, 100);
    ledger_close(ledger);
    tamper(&folder, "PRAGMA wal_checkpoint(TRUNCATE)");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct folder copy = folder_make();
        char command[4 * FOLDER_MAX];
        snprintf(command, sizeof(command), "cp %s/ledger.db %s/", folder.path, copy.path);
        CHECK_INT(system(command), 0);
        CHECK_INT(verify(&copy, NULL, &err), 0);
        tamper(&copy, rows[i].sql);
        if (verify(&copy, NULL, &err) != -EBADF || err.code != ERR_DAMAGED ||
            strcmp(err.where, rows[i].where) != 0)
            test_fail(__FILE__, __LINE__, "%s: found %s: %s", rows[i].what, err.where, err.cause);
        folder_remove(&copy);
    }
    folder_remove(&folder);
}

TEST(tree_that_does_not_fit_the_events_is_found)
{
    static const char *const rows[] = {
        "UPDATE head SET frontier = zeroblob(length(frontier))",
        "UPDATE subtree SET root = zeroblob(32) WHERE number = 1",
        "DELETE FROM subtree WHERE number = 0",
        "UPDATE head SET digest = zeroblob(32)",
        "DELETE FROM operation",
    };
    struct err err = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct folder folder = folder_make();
        struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
        fill_ledger(ledger, 600);
        ledger_close(ledger);
        CHECK_INT(verify(&folder, NULL, &err), 0);
        tamper(&folder, rows[i]);
        if (verify(&folder, NULL, &err) != -EBADF)
            test_fail(__FILE__, __LINE__, "%s is not found", rows[i]);
        folder_remove(&folder);
    }
}

/* Whoever may write the file can cut it and mend everything in it, but not what is elsewhere. */
TEST(truncation_and_rollback_are_found_against_a_checkpoint_kept_elsewhere)
{
    struct folder folder = folder_make(), early = folder_make();
    struct err err = { 0 };
    struct tree_head forty, sixty, foreign;
    char command[4 * FOLDER_MAX];
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    fill_ledger(ledger, 40);
    CHECK_OK(proof_tree_head(ledger, &forty, &err));
    ledger_close(ledger);
    tamper(&folder, "PRAGMA wal_checkpoint(TRUNCATE)");
    snprintf(command, sizeof(command), "cp %s/ledger.db %s/", folder.path, early.path);
    CHECK_INT(system(command), 0);
    ledger = ledger_of(&folder, LEDGER_WRITE);
    fill_ledger(ledger, 20);
    CHECK_OK(proof_tree_head(ledger, &sixty, &err));
    ledger_close(ledger);
    CHECK_INT(verify(&folder, &forty, &err), 0);
    CHECK_INT(verify(&folder, &sixty, &err), 0);
    /* Rolled back to a state that is whole in itself: the checkpoint knows more. */
    CHECK_INT(verify(&early, NULL, &err), 0);
    CHECK_INT(verify(&early, &forty, &err), 0);
    CHECK_INT(verify(&early, &sixty, &err), -EBADF);
    CHECK_TEXT(err.where, "event 40");
    /* Rolled back and gone on otherwise. */
    ledger = ledger_of(&early, LEDGER_WRITE);
    CHECK_OK(commit_event(ledger, "otherwise", "", NULL, &err));
    fill_ledger(ledger, 30);
    ledger_close(ledger);
    CHECK_INT(verify(&early, NULL, &err), 0);
    CHECK_INT(verify(&early, &forty, &err), 0);
    CHECK_INT(verify(&early, &sixty, &err), -EBADF);
    foreign = forty;
    memset(foreign.ledger, 'a', sizeof(foreign.ledger) - 1);
    CHECK_INT(verify(&folder, &foreign, &err), -EEXIST);
    folder_remove(&folder);
    folder_remove(&early);
}

TEST(ledger_that_is_written_meanwhile_verifies)
{
    struct folder folder = folder_make();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    fill_ledger(ledger, 500);
    fflush(stdout);
    pid_t writer = fork();
    if (writer == 0) {
        struct ledger *mine = ledger_of(&folder, LEDGER_WRITE);
        for (int i = 0; i < 300; i++)
            NEED_OK(
                commit_event(mine, "meanwhile", "urn:srcos:workspace-operation:odd", NULL, &err));
        ledger_close(mine);
        _exit(0);
    }
    while (size_of(ledger) < 800) {
        CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
        if (waitpid(writer, NULL, WNOHANG) == writer)
            break;
    }
    CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
    CHECK_INT(size_of(ledger), 800);
    wait_for_children();
    ledger_close(ledger);
    folder_remove(&folder);
}
