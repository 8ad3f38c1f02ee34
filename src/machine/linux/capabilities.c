/*
 * capabilities: see the header.
 *
 * Theory of operation. The bounding set falls first, one call for each
 * capability that the kernel has (there is no call for all of them), then the
 * securebits are locked; both need CAP_SETPCAP. One capset then empties the
 * other sets, and the ambient set with them, which is never larger than those.
 *
 * What holds. Who has no CAP_SETPCAP keeps a bounding set; with no_new_privs,
 * which the caller sets, no program brings a capability out of it.
 */
#include "machine/linux/capabilities.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* No change of user gives capabilities or keeps them, and no ambient one can be raised. */
#define SECURE_BITS                                                                                \
    (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                               \
     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |       \
     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)
#define CAPABILITIES_MAX 64 /* bits of the kernel's sets */

static int drop_bounding(struct err *err)
{
    for (unsigned long capability = 0; capability < CAPABILITIES_MAX; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
            continue;
        if (errno == EINVAL) /* past the kernel's last */
            break;
        return err_set_errno(err, errno, "capabilities", "cannot empty the bounding set");
    }
    if (prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) < 0)
        return err_set_errno(err, errno, "capabilities", "cannot lock the securebits");
    return 0;
}

int capabilities_drop(struct err *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
    if (syscall(SYS_capget, &header, sets) < 0)
        return err_set_errno(err, errno, "capabilities", "cannot read the capabilities");
    if (sets[0].effective & 1U << CAP_SETPCAP) {
        int r = drop_bounding(err);
        if (r < 0)
            return r;
    }
    memset(sets, 0, sizeof(sets));
    if (syscall(SYS_capset, &header, sets) < 0)
        return err_set_errno(err, errno, "capabilities", "cannot give up the capabilities");
    return 0;
}
