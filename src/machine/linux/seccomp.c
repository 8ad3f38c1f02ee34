/*
 * seccomp: see the header.
 *
 * Theory of operation. The filters are constants (seccomp.table, compiled by
 * tools/seccomp.py): making one when a command starts would cost more than
 * everything else here, and could fail in a child that must not allocate.
 *
 * What holds. A call that is not in the table is refused; a refusal is an
 * error and not a signal, so that programs fail as they would for want of
 * rights. The filter cannot be taken off, changed or read by what it stands
 * on, and filters that a program adds can only refuse more.
 *
 * Limits. A filter sees numbers and not what pointers point to: which file,
 * which address and which clone3 flags is for namespaces, Landlock and the
 * doors, and where nobody else looks the call is refused altogether. Kernels
 * that pair filters with protection from speculative stores keep that choice.
 */
#include "machine/linux/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "machine/linux/seccomp_filters.h"

int seccomp_install(enum seccomp_kind kind, struct err *err)
{
    const struct seccomp_filter *filter = &seccomp_filters[kind];
    const struct sock_fprog program = {
        .len = filter->count,
        .filter = (struct sock_filter *)filter->instructions,
    };
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
        return 0;
    if (errno == ENOSYS || errno == EINVAL)
        return err_set(err, ERR_UNSUPPORTED, "seccomp",
                       "the kernel takes no system call filters (CONFIG_SECCOMP_FILTER)");
    return err_set_errno(err, errno, "seccomp", "cannot install the system call filter");
}

bool seccomp_available(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
