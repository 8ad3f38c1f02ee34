/* whoami: prints its effective user; tests/escape.sh gives it to another one, with the setuid bit.
 */
#include "base/base.h"

int main(void)
{
    printf("%u\n", geteuid());
    return EXIT_SUCCESS;
}
