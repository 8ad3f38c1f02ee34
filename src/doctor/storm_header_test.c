#include "doctor/storm_header.h"

#include "base/test.h"

static struct storm_event read_line(const char *line)
{
    struct storm_time_reader reader = { 0 };
    struct storm_event event;
    setenv("TZ", "UTC", 1);
    storm_header_read(&reader, str_from(line), &event);
    return event;
}

static void check_header(const char *line, const char *component, uint32_t pid,
                         const char *severity, const char *message)
{
    struct storm_event event = read_line(line);
    CHECK_STR(event.component, str_from(component));
    CHECK_INT(event.pid, pid);
    CHECK_TEXT(event.has_severity ? storm_severity_names[event.severity] : "", severity);
    CHECK_STR(event.message, str_from(message));
}

TEST(syslog)
{
    check_header("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass", "sshd(pam_unix)", 19939,
                 "", "check pass");
    check_header("<3>Jun 14 15:16:01 host cron[7]: job", "cron", 7, "error", "job");
    check_header("<165>1 2026-11-20T09:00:00Z host app 12 ID47 [a@1 b=\"c\"] hello", "app", 12,
                 "info", "hello");
    check_header("<34>1 2026-11-20T09:00:00Z host app - - - hello", "app", 0, "critical", "hello");
    check_header("2026-11-20T09:00:00.1+00:00 host systemd[1]: Started x.", "systemd", 1, "",
                 "Started x.");
    check_header("[    0.123456] usb 1-1: new device", "kernel", 0, "", "usb 1-1: new device");
}

TEST(programs)
{
    check_header("2015-10-18 18:01:47,978 INFO [main] org.apache.X: Created", "org.apache.X", 0,
                 "info", "Created");
    check_header("2015-10-18 18:01:47,978 WARN [IPC Server handler 4 on 62270] org.X: Lost",
                 "org.X", 0, "warn", "Lost");
    check_header("[Sun Dec 04 04:47:44 2005] [error] mod_jk child", "", 0, "error", "mod_jk child");
    check_header("2026-11-20T09:00:00Z ERROR something broke", "", 0, "error", "something broke");
    check_header("just words", "", 0, "", "just words");
    check_header("error: it broke", "", 0, "error", "it broke");
}

TEST(macos)
{
    check_header("2026-11-20 09:00:00.000000-0800 0x1f3      Error       0x0                  "
                 "123    0    tccd: (TCC) [com.apple.TCC:access] denied",
                 "tccd", 123, "error", "(TCC) [com.apple.TCC:access] denied");
    check_header("2026-11-20 09:00:00.000000-0800  localhost tccd[123]: (TCC) denied", "tccd", 123,
                 "", "(TCC) denied");
}

TEST(a_line_that_is_only_a_header_is_its_own_message)
{
    check_header("", "", 0, "", "");
    CHECK(read_line("2026-11-20T09:00:00Z").message.len > 0);
    CHECK(read_line("<34>").message.len > 0);
}
