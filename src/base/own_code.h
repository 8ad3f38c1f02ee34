/*
 * own_code: this program's code, made ready at once.
 *
 * What a launch runs through is spread over most of it. Met page by page, each
 * sixteen of them cost a fault; asked for as a whole, they cost one call.
 */
#ifndef AM_BASE_OWN_CODE_H
#define AM_BASE_OWN_CODE_H

/* Maps what of it is in memory already or can be read. Where the kernel cannot, nothing is lost. */
void own_code_map(void);

#endif
